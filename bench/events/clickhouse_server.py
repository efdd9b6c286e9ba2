"""Runs the ClickHouse engine of the wheel `chdb-core` as a server on loopback, until its standard input closes.

usage: clickhouse_server.py DIR HTTP_PORT
"""

import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import threading

folder, port = os.path.abspath(sys.argv[1]), int(sys.argv[2])
home, store, fifo = (os.path.join(folder, name) for name in ("home", "store", "stop.fifo"))
os.makedirs(os.path.join(home, ".clickhouse-local"), exist_ok=True)
os.makedirs(store, exist_ok=True)
with open(os.path.join(home, ".clickhouse-local", "config.xml"), "w") as config:
    config.write(
        f"<clickhouse><listen_host>127.0.0.1</listen_host><http_port>{port}</http_port>"
        f"<logger><level>warning</level><log>{folder}/server.log</log></logger></clickhouse>"
    )
os.environ["HOME"] = home
os.chdir(home)
if not os.path.exists(fifo):
    os.mkfifo(fifo)
library = os.path.join(sysconfig.get_paths()["purelib"], "chdb", "_chdb.abi3.so")
loader = importlib.machinery.ExtensionFileLoader("_chdb", library)
engine = importlib.util.module_from_spec(importlib.util.spec_from_loader("_chdb", loader))
loader.exec_module(engine)
# The query keeps the engine alive for as long as nobody writes to the pipe.
wait = f"SYSTEM START LISTEN HTTP; SELECT * FROM file('{fifo}', 'LineAsString') FORMAT Null"
serving = threading.Thread(target=lambda: engine.query(wait, "TabSeparated", path=store), daemon=True)
serving.start()
sys.stdin.read()
os._exit(0)

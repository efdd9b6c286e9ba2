#!/usr/bin/env python3
"""Serves the ClickHouse engine of the chdb-core wheel over HTTP and its native protocol, for tests only.

usage: server.py DATA_DIR HTTP_PORT TCP_PORT [CONFIG_FRAGMENT_FILE]

Listens on the loopback interface. Users: `default` without a password, who administers; `app` with the password of
CLICKHOUSE_APP_PASSWORD (`app` when unset), who may do everything; `reader` and `maker`, who may only read, and read and
make tables, with their names as passwords. Ends when its standard input ends, so it never outlives who started it.
With CLICKHOUSE_EPHEMERAL=1 it removes DATA_DIR then.
"""
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import sysconfig
import threading
from xml.sax.saxutils import escape

data, http_port, tcp_port = os.path.abspath(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
fragment = open(sys.argv[4]).read() if len(sys.argv) > 4 else ""
home, store = os.path.join(data, "home"), os.path.join(data, "store")
os.makedirs(os.path.join(home, ".clickhouse-local"), exist_ok=True)
os.makedirs(store, exist_ok=True)

password = escape(os.environ.get("CLICKHOUSE_APP_PASSWORD", "app"))
users = os.path.join(home, "users.xml")
with open(users, "w") as file:
    file.write(f"""<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>
<default><password></password><networks><ip>127.0.0.1</ip><ip>::1</ip></networks><profile>default</profile>
<quota>default</quota><access_management>1</access_management></default>
<app><password>{password}</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
<quota>default</quota></app>
<reader><password>reader</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
<quota>default</quota><grants><query>GRANT SELECT ON *.*</query></grants></reader>
<maker><password>maker</password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>
<quota>default</quota><grants><query>GRANT SELECT, CREATE ON *.*</query></grants></maker></users></clickhouse>""")
with open(os.path.join(home, ".clickhouse-local", "config.xml"), "w") as file:
    file.write(f"""<clickhouse><listen_host>127.0.0.1</listen_host><http_port>{http_port}</http_port>
<tcp_port>{tcp_port}</tcp_port><users_config>{users}</users_config>
<logger><level>warning</level><log>{data}/server.log</log><errorlog>{data}/errors.log</errorlog></logger>
{fragment}</clickhouse>""")

# The engine looks for its configuration in the home folder, and ends its statement when the pipe ends.
os.environ["HOME"] = home
os.chdir(home)
pipe = os.path.join(data, "stop.pipe")
if not os.path.exists(pipe):
    os.mkfifo(pipe)

library = os.path.join(sysconfig.get_paths()["purelib"], "chdb", "_chdb.abi3.so")
if not os.path.exists(library):
    sys.exit(f"the ClickHouse engine is not installed here ({library} is missing)")
loader = importlib.machinery.ExtensionFileLoader("_chdb", library)
engine = importlib.util.module_from_spec(importlib.util.spec_from_loader("_chdb", loader))
loader.exec_module(engine)
if hasattr(engine, "set_signal_handlers_enabled"):
    engine.set_signal_handlers_enabled(False)


def end_with_standard_input():
    while sys.stdin.buffer.read(4096):
        pass
    if os.environ.get("CLICKHOUSE_EPHEMERAL") == "1":
        # The engine still writes: what it makes meanwhile is removed with the next try.
        for _ in range(50):
            shutil.rmtree(data, ignore_errors=True)
            if not os.path.exists(data):
                break
    os._exit(0)


threading.Thread(target=end_with_standard_input, daemon=True).start()
statements = (
    "SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
    f"SELECT * FROM file('{pipe}', 'LineAsString') FORMAT Null"
)
engine.query(statements, "TabSeparated", path=store)

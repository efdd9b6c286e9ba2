//! Plain lines, for output that is no terminal and for everything before and after the live view.

use std::io::{self, IsTerminal, Write};

use super::{
    Error, line,
    view::{self, Board},
};

/// Whether the live view can be drawn.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes lines.
pub fn say<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{}", line.as_ref())?;
    }
    out.flush()?;
    Ok(())
}

/// The board as lines: the traffic, one line a rollout, and what goes wrong.
pub fn lines(board: &Board) -> Vec<String> {
    let mut lines = vec![view::traffic(board)];
    lines.extend(board.lanes.iter().map(|lane| format!("         {}", line::rollout(lane))));
    lines.extend(board.trouble.iter().map(|trouble| format!("         trying again: {trouble}")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::reading::{Lane, tests::why};

    #[test]
    fn one_line_a_rollout() {
        let board = Board { lanes: vec![Lane::of_why(&why()).unwrap(); 3], ..Board::default() };
        let lines = lines(&board);
        assert_eq!(lines.len(), 4);
        assert!(lines[1].trim_start().starts_with("new-search "));
    }
}

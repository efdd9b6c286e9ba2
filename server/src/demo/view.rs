//! The live view on a terminal, and what it shows. [`frame`] is pure; [`Screen`] draws it and puts the terminal back.

use std::io::{self, Stdout, Write};

use crossterm::{
    cursor::{Hide, MoveTo, Show},
    execute, queue,
    style::{Attribute, Color, Print, ResetColor, SetAttribute, SetForegroundColor},
    terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen},
};

use super::{Error, child::Standing, journal::Totals, line, reading::Lane, receiver::Heard};

/// How a line is to look.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// Less important.
    Faint,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
}

/// Everything that is shown while traffic runs.
#[derive(Clone, Debug, Default)]
pub struct Board {
    /// Where the server is.
    pub base: String,
    /// Since the traffic began, in milliseconds.
    pub elapsed_ms: i64,
    /// Shoppers served in this run.
    pub visits: u64,
    /// Shoppers a second, lately.
    pub users_per_second: f64,
    /// What was aimed for.
    pub target: u32,
    /// The journal.
    pub totals: Totals,
    /// The server's process.
    pub standing: Standing,
    /// The webhooks.
    pub heard: Heard,
    /// The rollouts.
    pub lanes: Vec<Lane>,
    /// What goes wrong at the moment.
    pub trouble: Option<String>,
}

/// The traffic in one line.
pub fn traffic(board: &Board) -> String {
    let totals = &board.totals;
    format!(
        "{:>7}  {} shoppers, {:.0}/s of {}; events {} sent, {} acknowledged, {} duplicates; {} webhooks heard, {} forged; server started {}x, killed {}x",
        line::seconds(board.elapsed_ms),
        line::count(board.visits),
        board.users_per_second,
        board.target,
        line::count(totals.events + totals.repeats),
        line::count(totals.acknowledged + totals.repeats_acknowledged),
        line::count(totals.duplicates),
        board.heard.verified.len(),
        board.heard.bad,
        board.standing.starts,
        board.standing.kills,
    )
}

/// All lines of the view.
pub fn frame(board: &Board) -> Vec<(Tone, String)> {
    let mut lines = vec![
        (Tone::Strong, format!("Liftgate demo, {}", board.base)),
        (Tone::Plain, traffic(board)),
        (Tone::Plain, String::new()),
    ];
    for lane in &board.lanes {
        let tone = match lane.status.as_str() {
            "completed" => Tone::Good,
            "rolled_back" => Tone::Bad,
            _ => Tone::Strong,
        };
        lines.push((tone, line::standing(lane)));
        for gauge in &lane.gauges {
            let tone = match gauge.verdict.as_str() {
                "harm" => Tone::Bad,
                "safe" => Tone::Good,
                _ => Tone::Plain,
            };
            lines.push((tone, format!("    {}", line::gauge(gauge))));
        }
        if lane.is_active() {
            lines.push((Tone::Faint, format!("    {}", lane.why)));
        }
        lines.push((Tone::Plain, String::new()));
    }
    lines.push((Tone::Strong, "Webhooks".to_owned()));
    lines.extend(board.heard.latest.iter().map(|sentence| (Tone::Faint, format!("    {sentence}"))));
    if let Some(trouble) = &board.trouble {
        lines.push((Tone::Bad, format!("Trying again: {trouble}")));
    }
    lines
}

/// The terminal while the view is on it. Dropping it shows again what was there before.
pub struct Screen {
    out: Stdout,
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> Result<Self, Error> {
        let mut out = io::stdout();
        execute!(out, EnterAlternateScreen, Hide)?;
        Ok(Self { out })
    }

    /// Draws a frame, cut to the terminal's size.
    pub fn draw(&mut self, lines: &[(Tone, String)]) -> Result<(), Error> {
        let (columns, rows) = terminal::size()?;
        queue!(self.out, MoveTo(0, 0))?;
        for (row, (tone, text)) in lines.iter().take(usize::from(rows)).enumerate() {
            let cut: String = text.chars().take(usize::from(columns)).collect();
            queue!(self.out, MoveTo(0, row as u16))?;
            match tone {
                Tone::Plain => {}
                Tone::Strong => queue!(self.out, SetAttribute(Attribute::Bold))?,
                Tone::Faint => queue!(self.out, SetAttribute(Attribute::Dim))?,
                Tone::Good => queue!(self.out, SetForegroundColor(Color::Green))?,
                Tone::Bad => queue!(self.out, SetForegroundColor(Color::Red))?,
            }
            queue!(self.out, Print(cut), ResetColor, SetAttribute(Attribute::Reset), Clear(ClearType::UntilNewLine))?;
        }
        if lines.len() < usize::from(rows) {
            queue!(self.out, MoveTo(0, lines.len() as u16), Clear(ClearType::FromCursorDown))?;
        }
        self.out.flush()?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs no putting back.
        let _ = execute!(self.out, Show, LeaveAlternateScreen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::reading::tests::why;

    #[test]
    fn a_frame_shows_traffic_rollouts_evidence_and_webhooks() {
        let board = Board {
            base: "http://127.0.0.1:8080".to_owned(),
            elapsed_ms: 12_340,
            visits: 24_000,
            users_per_second: 1_990.4,
            target: 2_000,
            totals: Totals { events: 27_000, repeats: 270, acknowledged: 26_500, duplicates: 268, ..Totals::default() },
            lanes: vec![Lane::of_why(&why()).unwrap()],
            heard: Heard { latest: vec!["rollout.started new-search".to_owned()], ..Heard::default() },
            trouble: Some("events got no answer".to_owned()),
            ..Board::default()
        };
        let texts: Vec<String> = frame(&board).into_iter().map(|(_, text)| text).collect();
        assert!(texts[1].contains("12.3 s  24 000 shoppers, 1990/s of 2000; events 27 270 sent, 26 500 acknowledged"));
        assert!(texts.iter().any(|text| text.contains("e 30.9 of 200, undecided")), "{texts:#?}");
        assert!(texts.iter().any(|text| text.contains("Stage 2 of 3 bakes")));
        assert!(texts.iter().any(|text| text.contains("rollout.started new-search")));
        assert!(texts.last().unwrap().contains("events got no answer"));
    }
}

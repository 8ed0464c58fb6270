//! [`Screen`]: how wide it is, whether it has colours, and how something is shown on it in the place of what was.

use std::io::IsTerminal;

use crate::failure::Failure;
use crate::output::print;

/// Where standard output goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen {
    /// In characters, if it is known: as COLUMNS says, or the terminal.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
    /// Whether the cursor can be moved.
    moves: bool,
    height: usize,
    /// How many lines are to be written over; none before the first time.
    drawn: Option<usize>,
}

impl Screen {
    pub(super) fn new() -> Self {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let is_terminal = std::io::stdout().is_terminal();
        let moves = is_terminal && variable("TERM").is_some_and(|term| term != "dumb");
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|_| is_terminal);
        let of_terminal = size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0);
        let width =
            variable("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|width| *width > 0).or(of_terminal);
        let height = size.map_or(0, |size| usize::from(size.ws_row));
        Screen { width, colour: moves && variable("NO_COLOR").is_none(), moves, height, drawn: None }
    }

    /// Shows a text in the place of the last one; where that can not be, below it.
    pub(super) fn redraw(&mut self, text: &str) -> Result<(), Failure> {
        if !self.moves {
            let between = if self.drawn.is_some() { "\n" } else { "" };
            self.drawn = Some(0);
            return print(format_args!("{between}{text}"));
        }
        // (It may have been given another size meanwhile.)
        *self = Screen { drawn: self.drawn, ..Screen::new() };
        let text = fitted(text, self.width, self.height);
        let back = self.drawn.filter(|lines| *lines > 0).map(|lines| format!("\x1b[{lines}A")).unwrap_or_default();
        self.drawn = Some(text.lines().count());
        // (Each line is cleared where it ends, and what is below the last: nothing flickers.)
        print(format_args!("{back}{}\x1b[J", text.replace('\n', "\x1b[K\n")))
    }
}

/// As many lines as there is room for above the cursor, each as long as there is.
fn fitted(text: &str, width: Option<usize>, height: usize) -> String {
    let total = text.lines().count();
    let room = if height == 0 { usize::MAX } else { height.saturating_sub(1).max(1) };
    let shown = if total > room { room.saturating_sub(1) } else { total };
    let mut fitted: String = text.lines().take(shown).map(|line| cut(line, width) + "\n").collect();
    if shown < total {
        fitted.push_str(&cut(&format!("({} more lines)", total - shown), width));
        fitted.push('\n');
    }
    fitted
}

/// A line's first characters; what only changes the colour has no width.
fn cut(line: &str, width: Option<usize>) -> String {
    let (mut cut, mut left, mut in_colour) = (String::new(), width.unwrap_or(usize::MAX), false);
    for each in line.chars() {
        let is_wide = !in_colour && each != '\x1b';
        in_colour = (in_colour || each == '\x1b') && each != 'm';
        if !is_wide || left > 0 {
            cut.push(each);
        }
        left = left.saturating_sub(usize::from(is_wide));
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_left_out_and_that_is_told() {
        assert_eq!(fitted("1\n2\n3\n", None, 0), "1\n2\n3\n");
        assert_eq!(fitted("1\n2\n3\n", None, 4), "1\n2\n3\n");
        assert_eq!(fitted("1\n2\n3\n", None, 3), "1\n(2 more lines)\n");
    }

    #[test]
    fn a_line_is_cut_and_its_colour_ends_all_the_same() {
        assert_eq!(cut("\x1b[31mabcdef\x1b[0m", Some(3)), "\x1b[31mabc\x1b[0m");
        assert_eq!(cut("äöü", Some(2)), "äö");
    }
}

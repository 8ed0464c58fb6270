//! A report for people.

use std::fmt::Write;

use super::{Cell, Report, Row};

/// Figures one after the other, then the ratios at a glance, then what is missing and what is not shown.
pub fn text(report: &Report) -> String {
    let mut text = String::new();
    let (method, base) = (report.method(), report.peers[0].label);
    let _ = writeln!(text, "\n{method}. Medians, ranges in brackets, ratios of the medians to: {base}.\n");
    if let Some(warning) = report.machine.warning() {
        let _ = writeln!(text, "{warning}\n");
    }
    report.figures.iter().for_each(|row| figure(&mut text, row));
    at_a_glance(&mut text, report);
    remarks(&mut text, report);
    text
}

fn figure(text: &mut String, row: &Row) {
    text.push_str(&row.title());
    if let (Some(floor), Some(goal)) = (row.floor, row.goal) {
        let _ = write!(text, " (Pontoon's floor {floor:.2}, goal {goal:.2})");
    }
    text.push('\n');
    for Cell { label, spread, ratio, .. } in &row.results {
        let range = format!("({}–{})", number(spread.low), number(spread.high));
        let ratio = ratio.map_or(String::new(), |ratio| format!(" {ratio:>7.2}"));
        let _ = writeln!(text, "  {label:<18} {:>12} {range:>22}{ratio}", number(spread.median));
    }
    text.push('\n');
}

/// As many digits as mean something.
pub fn number(value: f64) -> String {
    match value {
        _ if value < 100.0 => format!("{value:.2}"),
        _ if value < 1000.0 => format!("{value:.0}"),
        _ => {
            let digits = format!("{value:.0}");
            let groups: Vec<&str> =
                digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
            groups.join(",")
        }
    }
}

/// A matrix of ratios: a row for each figure, a column for each peer.
fn at_a_glance(text: &mut String, report: &Report) {
    let width = |label: &str| label.chars().count().max(6) + 2;
    let _ = write!(text, "{:<42}", "ratios at a glance");
    for peer in &report.peers {
        let _ = write!(text, "{:>width$}", peer.label, width = width(peer.label));
    }
    text.push('\n');
    for row in report.rows_with_ratios() {
        let _ = write!(text, "{:<42}", format!("{}, {}", row.label, row.unit));
        for peer in &report.peers {
            let cell = row.results.iter().find(|cell| cell.peer == peer.peer);
            let ratio = cell.and_then(|cell| cell.ratio).map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let _ = write!(text, "{ratio:>width$}", width = width(peer.label));
        }
        text.push('\n');
    }
    text.push('\n');
}

fn remarks(text: &mut String, report: &Report) {
    for sound in &report.integrity {
        let _ = writeln!(text, "integrity: {}: {}", sound.peer.label(), sound.integrity);
    }
    for failure in &report.failures {
        let _ = writeln!(text, "{failure}");
    }
    for out in &report.left_out {
        let _ = writeln!(text, "{out}");
    }
    let _ = writeln!(text, "\nWhat this does not show:");
    for limit in report.does_not_show {
        let _ = writeln!(text, "* {limit}");
    }
}

//! A report as a picture: for each figure a panel, in it a bar for each peer, as long as its ratio to the base; the thin line is
//! the range of the rounds.

use std::fmt::Write;

use super::table::number;
use super::{Cell, Report, Row};

const WIDTH: f64 = 980.0;
const COLUMNS: usize = 2;
const MARGIN: f64 = 20.0;
const LABELS: f64 = 120.0;
/// For the numbers behind a bar.
const NUMBERS: f64 = 110.0;
const BAR: f64 = 13.0;
const STEP: f64 = 18.0;
const LINE: f64 = 15.0;
/// About as many characters fit on a line of remarks.
const WRAP: usize = 150;
/// A bar that is longer than this many times the base ends here; its number says the rest.
const LONGEST: f64 = 4.0;

/// Words have a white rim, so that they can be read across the line of the base.
const STYLE: &str = "\
text { font: 12px sans-serif; fill: #222; paint-order: stroke; stroke: white; stroke-width: 3px } \
.title { font-weight: bold } .small { font-size: 11px; fill: #555 } \
.ours, .theirs { fill-opacity: 0.8 } .ours { fill: #1f77b4 } .theirs { fill: #b9bec4 } \
.range { stroke: #222 } .one { stroke: #888; stroke-dasharray: 3 3 }";

/// The whole picture.
pub fn svg(report: &Report) -> String {
    let (mut body, mut top) = (String::new(), 52.0);
    let title = format!("Ratios to: {}", report.peers[0].label);
    let subtitle = format!("{}; medians, and the range as a line", report.method());
    let rows: Vec<&Row> = report.rows_with_ratios().collect();
    let column = (WIDTH - MARGIN) / COLUMNS as f64;
    for pair in rows.chunks(COLUMNS) {
        let tallest = pair.iter().map(|row| row.results.len()).max().unwrap_or(0);
        for (index, row) in pair.iter().enumerate() {
            panel(&mut body, row, MARGIN + column * index as f64, top, column - MARGIN);
        }
        top += 40.0 + STEP * tallest as f64;
    }
    for line in remarks(report) {
        let _ = writeln!(body, "<text class=\"small\" x=\"{MARGIN}\" y=\"{top}\">{}</text>", escaped(&line));
        top += LINE;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\">\n\
         <style>{STYLE}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"22\">{}</text>\n<text class=\"small\" x=\"{MARGIN}\" y=\"38\">{}</text>\n{body}</svg>\n",
        escaped(&title),
        escaped(&subtitle),
        height = top + MARGIN,
    )
}

fn panel(body: &mut String, row: &Row, left: f64, top: f64, width: f64) {
    let _ = writeln!(body, "<text class=\"title\" x=\"{left}\" y=\"{}\">{}</text>", top + 12.0, escaped(&row.title()));
    let longest = row.results.iter().filter_map(|cell| cell.ratio).fold(1.0, f64::max).min(LONGEST);
    let scale = (width - LABELS - NUMBERS) / longest;
    let (zero, first) = (left + LABELS, top + 20.0);
    // Behind the bars, which let it shine through.
    let (one, bottom) = (zero + scale, first + STEP * row.results.len() as f64);
    let _ = writeln!(body, "<line class=\"one\" x1=\"{one:.1}\" y1=\"{first}\" x2=\"{one:.1}\" y2=\"{bottom}\"/>");
    for (index, cell) in row.results.iter().enumerate() {
        // (Where there are ratios the base is the first.)
        bar(body, cell, row.results[0].spread.median, left, zero, first + STEP * index as f64, scale);
    }
}

fn bar(body: &mut String, cell: &Cell, base: f64, left: f64, zero: f64, top: f64, scale: f64) {
    let text = top + BAR - 2.0;
    let _ = writeln!(body, "<text x=\"{left}\" y=\"{text}\">{}</text>", escaped(cell.label));
    let Some(ratio) = cell.ratio else { return };
    let class = if cell.peer.is_pontoon() { "ours" } else { "theirs" };
    let length = ratio.min(LONGEST) * scale;
    let _ = writeln!(body, "<rect class=\"{class}\" x=\"{zero}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\"/>");
    // A ratio's range is that of its own values, to the base's median.
    let at = |value: f64| zero + (value / base).min(LONGEST) * scale;
    let (low, high, middle) = (at(cell.spread.low), at(cell.spread.high), top + BAR / 2.0);
    let _ = writeln!(body, "<line class=\"range\" x1=\"{low:.1}\" y1=\"{middle}\" x2=\"{high:.1}\" y2=\"{middle}\"/>");
    let _ = writeln!(
        body,
        "<text x=\"{:.1}\" y=\"{text}\">{ratio:.2} ({})</text>",
        high.max(zero + length) + 5.0,
        number(cell.spread.median)
    );
}

/// Who is missing and why, and what is not shown.
fn remarks(report: &Report) -> Vec<String> {
    let warning = report.machine.warning();
    let out = report.left_out.iter().map(ToString::to_string);
    let failed = report.failures.iter().map(ToString::to_string);
    let limits = report.does_not_show.iter().map(|limit| (*limit).to_owned());
    let all = warning.into_iter().chain(out).chain(failed).chain(["What this does not show:".to_owned()]).chain(limits);
    all.flat_map(|text| wrapped(&text)).collect()
}

/// Lines of about [`WRAP`] characters.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last_mut().expect("there is one from the start");
        if last.chars().count() + word.chars().count() < WRAP {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

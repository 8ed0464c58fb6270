//! What people see: tables and lists. Each returns the whole text, so that a snapshot of it can be a test.

pub mod bridges;
pub mod containers;
pub mod events;
pub mod explain;
mod ports;
pub mod stations;
pub mod stats;

use comfy_table::{CellAlignment, Table};

/// A table for people: aligned, no box drawing, three spaces between columns, as Docker's.
fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table
}

/// The table's text without blanks at the ends of lines; columns named in `numbers` are aligned to the right.
fn text(mut table: Table, numbers: &[usize]) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 3 }));
        if numbers.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = String::new();
    for line in table.to_string().lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

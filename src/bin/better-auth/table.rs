//! Rows in columns, and lists that are written page by page, as they may not fit into memory.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::Value;

use crate::Outcome;
use crate::arguments::Global;
use crate::output::{Answer, Problem, without_controls};

/// Rows under their headings, in columns.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new(headings);
    table.lines(rows).trim_end().to_owned()
}

/// The lines of a table whose rows come by and by.
struct Table {
    /// Until they are written.
    headings: Option<Vec<String>>,
    /// They only grow.
    widths: Vec<usize>,
}

impl Table {
    fn new(headings: &[&str]) -> Self {
        Self {
            headings: Some(headings.iter().map(|&heading| heading.to_owned()).collect()),
            widths: vec![0; headings.len()],
        }
    }

    fn lines(&mut self, rows: &[Vec<String>]) -> String {
        let headings = self.headings.take();
        let rows = || headings.iter().chain(rows);
        for row in rows() {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut lines = String::new();
        for row in rows() {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&self.widths) {
                // Writing into a string does not fail.
                let _ = write!(line, "{cell:width$}  ");
            }
            lines.push_str(line.trim_end());
            lines.push('\n');
        }
        lines
    }
}

/// A list on standard output: a table, or with `--json` an object with an array.
pub(crate) struct Listing {
    table: Table,
    is_json: bool,
    /// Until it is written: what stands before the rows in JSON.
    begin: Option<String>,
    rows: usize,
    has_reader: bool,
}

impl Listing {
    /// `before` is a property that stands before the rows.
    pub(crate) fn new(
        global: &Global,
        name: &str,
        before: Option<(&str, Value)>,
        headings: &[&str],
    ) -> Self {
        let before = before.map(|(name, value)| format!("\"{name}\": {value}, "));
        let begin = format!("{{{}\"{name}\": [", before.unwrap_or_default());
        Self {
            table: Table::new(headings),
            is_json: global.json,
            begin: Some(begin),
            rows: 0,
            has_reader: true,
        }
    }

    /// Whether anything was written.
    pub(crate) fn has_begun(&self) -> bool {
        self.begin.is_none()
    }

    /// Whether anybody reads on: `head` has seen enough at some time.
    pub(crate) fn has_reader(&self) -> bool {
        self.has_reader
    }

    /// The next page.
    pub(crate) fn page<R: Serialize>(
        &mut self,
        rows: &[R],
        cells: impl Fn(&R) -> Vec<String>,
    ) -> Result<(), Problem> {
        let mut text = self.begin.take().unwrap_or_default();
        if self.is_json {
            for row in rows {
                let row = serde_json::to_string(row);
                let row = row.map_err(|error| cannot_be_written(&error))?;
                text.push_str(if self.rows == 0 { "\n" } else { ",\n" });
                text.push_str(&without_controls(&row));
                self.rows += 1;
            }
        } else {
            let rows: Vec<_> = rows.iter().map(cells).collect();
            text = self.table.lines(&rows);
        }
        self.write(&text)
    }

    /// The end of the list, with a property behind the rows, or a last line.
    pub(crate) fn end(mut self, after: Option<(&str, Value)>, line: Option<String>) -> Outcome {
        let after = after.map(|(name, value)| format!(", \"{name}\": {value}"));
        self.close(&after.unwrap_or_default(), line)?;
        Ok(Answer::written())
    }

    /// The end of a list of which pages are missing.
    pub(crate) fn fail(mut self, problem: &Problem, after: Option<(&str, Value)>) -> Outcome {
        let after = after.map(|(name, value)| format!(", \"{name}\": {value}"));
        let error = format!(
            "{}, \"error\": {}",
            after.unwrap_or_default(),
            problem.as_json()
        );
        self.close(&error, None)?;
        problem.print();
        Ok(Answer::written().right_if(false))
    }

    fn close(&mut self, after: &str, line: Option<String>) -> Result<(), Problem> {
        if self.is_json {
            let begin = self.begin.take().unwrap_or_default();
            self.write(&format!("{begin}\n]{after}}}\n"))
        } else {
            let line = line.map(|line| line + "\n");
            self.write(&line.unwrap_or_default())
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Problem> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.has_reader = false,
            written => written.map_err(|error| cannot_be_written(&error))?,
        }
        Ok(())
    }
}

fn cannot_be_written(error: &dyn std::fmt::Display) -> Problem {
    Problem::Failed {
        kind: "Output",
        message: format!("the answer cannot be written: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, table};

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["é".to_owned(), "2".to_owned()],
            vec!["three".to_owned(), String::new()],
        ];
        assert_eq!(table(&["A", "B"], &rows), "A      B\né      2\nthree");
    }

    #[test]
    fn the_headings_are_written_once() {
        let mut table = Table::new(&["A", "B"]);
        let row = |a: &str| vec![a.to_owned(), "b".to_owned()];
        assert_eq!(table.lines(&[row("three")]), "A      B\nthree  b\n");
        assert_eq!(table.lines(&[row("1")]), "1      b\n");
    }
}

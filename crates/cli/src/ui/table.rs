//! Formats tables: columns as wide as their widest cell, text left, numbers right, no borders.

use unicode_width::UnicodeWidthStr;

/// Alignment of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Left, for text.
    Left,
    /// Right, for numbers.
    Right,
}

/// Table whose rows are added one by one.
#[derive(Debug)]
pub struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Creates a table with these columns.
    pub fn new(columns: &[(&str, Align)]) -> Self {
        Self {
            aligns: columns.iter().map(|(_, align)| *align).collect(),
            rows: vec![columns.iter().map(|(title, _)| title.to_string()).collect()],
        }
    }

    /// Adds a row; surplus cells are dropped, missing ones are empty.
    pub fn row(&mut self, mut cells: Vec<String>) {
        cells.resize(self.aligns.len(), String::new());
        self.rows.push(cells);
    }

    /// Formats the table, without a final newline.
    pub fn render(&self) -> String {
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max().unwrap_or(0);
        let widths = self.aligns.iter().enumerate().map(|(column, align)| (*align, width(column)));
        let columns = Columns(widths.collect());
        self.rows.iter().map(|row| columns.line(row)).collect::<Vec<_>>().join("\n")
    }
}

/// Columns of known width, so that rows can be printed as they arrive.
#[derive(Debug)]
pub struct Columns(Vec<(Align, usize)>);

impl Columns {
    /// Creates columns of these widths, in terminal cells: a Korean syllable takes two.
    pub fn new(columns: &[(Align, usize)]) -> Self {
        Self(columns.to_vec())
    }

    /// Formats a row, or the titles.
    pub fn line<S: AsRef<str>>(&self, cells: &[S]) -> String {
        let cell = |(cell, &(align, width)): (&S, &(Align, usize))| {
            let text = cell.as_ref();
            let blanks = " ".repeat(width.saturating_sub(text.width()));
            match align {
                Align::Left => format!("{text}{blanks}"),
                Align::Right => format!("{blanks}{text}"),
            }
        };
        cells.iter().zip(&self.0).map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("name", Align::Left), ("params", Align::Right)]);
        table.row(vec!["resnet-20".into(), "269,722".into()]);
        table.row(vec!["vgg".into()]);
        assert_eq!(table.render(), "name        params\nresnet-20  269,722\nvgg");
        let mut table = Table::new(&[("class", Align::Left), ("n", Align::Right)]);
        table.row(vec!["고양이".into(), "3".into()]);
        assert_eq!(table.render(), "class   n\n고양이  3", "three syllables, six columns");
    }
}

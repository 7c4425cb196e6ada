//! Formats numbers for the terminal; formats shared with reports are in the library.

pub use residual::numbers::{short, thousands};

/// Formats seconds: `0.8 s`, `42 s`, `3m 07s`, `2h 05m`.
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{:.1} s", seconds.max(0.0));
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        _ => format!("{}h {:02}m", whole / 3600, whole / 60 % 60),
    }
}

/// Formats a percentage: `12.35 %`, or `-` for `None`.
pub fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), residual::numbers::percent)
}

/// Formats a rate: a whole number, or one decimal below ten.
pub fn rate(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { thousands(value.round() as u64) }
}

/// Formats a learning rate with four decimals, or in scientific notation below 0.001.
pub fn learning_rate(value: f64) -> String {
    if value == 0.0 || value >= 1e-3 { format!("{value:.4}") } else { format!("{value:.2e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted_for_people() {
        assert_eq!(
            [0, 999, 1000, 269_722, 138_357_544].map(thousands),
            ["0", "999", "1,000", "269,722", "138,357,544"]
        );
        assert_eq!([0, 999, 1234, 40_552_832, 999_999_999].map(short), ["0", "999", "1.23 k", "40.6 M", "1.00 G"]);
        assert_eq!([0.84, 9.96, 59.6, 187.2, 7500.0].map(duration), ["0.8 s", "10 s", "1m 00s", "3m 07s", "2h 05m"]);
        assert_eq!([0.2, 0.00002, 0.0].map(learning_rate), ["0.2000", "2.00e-5", "0.0000"]);
        assert_eq!([3.12, 812.4, 5231.0].map(rate), ["3.1", "812", "5,231"]);
        assert_eq!([percent(Some(8.754)), percent(None)], ["8.75 %", "-"]);
    }
}

//! Numbers: rounding, and texts that are the same in the terminal, in reports and in files.

/// Groups the digits of a number by thousands: `269722` → `269,722`.
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Shortens a number to about three significant digits and a unit: `40552832` → `40.6 M`.
pub fn short(value: u64) -> String {
    let value = value as f64;
    let (scaled, unit) = match value {
        v if v < 999.5 => return format!("{v}"),
        v if v < 999.5e3 => (v / 1e3, "k"),
        v if v < 999.5e6 => (v / 1e6, "M"),
        v if v < 999.5e9 => (v / 1e9, "G"),
        v => (v / 1e12, "T"),
    };
    let decimals = match scaled {
        s if s < 9.995 => 2,
        s if s < 99.95 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {unit}")
}

/// Writes a percentage with two decimals: `12.3456` → `12.35 %`.
pub fn percent(value: f64) -> String {
    format!("{value:.2} %")
}

/// Rounds to `digits` significant digits and drops trailing zeros: `138.357544` → `138.4` for 4.
pub fn significant(value: f64, digits: i32) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let decimals = (digits - 1 - value.abs().log10().floor() as i32).max(0) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Writes bytes as lowercase hexadecimal, two digits each.
///
/// ```
/// assert_eq!(residual::numbers::hex(&[0, 0x5e, 0xff]), "005eff");
/// ```
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Halves `n` and rounds an exact half to the even number, as Python's `round(n / 2)` does.
///
/// ```
/// assert_eq!([4, 5, 7].map(residual::numbers::half_to_even), [2, 2, 4]);
/// ```
pub fn half_to_even(n: usize) -> usize {
    let half = n / 2;
    if n % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

//! Terminal control of the dashboard: alternate screen, keys without echo, ANSI output.
//!
//! ratatui's own backends would enable features of crates below Burn, and little is needed here.
//! Ctrl-C stays a signal, with its usual meaning.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Settings of the terminal before [`enter`]; `None` while the dashboard is closed.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Enters the alternate screen and turns off echo.
pub fn enter() -> io::Result<()> {
    let before = tcgetattr(io::stdin())?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    // Ctrl-Z would leave the alternate screen open.
    quiet.special_codes[SpecialCodeIndex::VSUSP] = 0;
    tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
    *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    write!(io::stderr(), "\x1b[?1049h\x1b[?25l")
}

/// Restores the terminal; calling it twice is harmless.
pub fn leave() {
    if let Some(before) = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take() {
        // Errors cannot be reported: the terminal is gone.
        let _ = write!(io::stderr(), "\x1b[0m\x1b[?25h\x1b[?1049l");
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

/// Returns whether the dashboard is open.
pub fn is_open() -> bool {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner).is_some()
}

/// Returns the keys pressed, waiting up to `timeout` for the first.
pub fn keys(timeout: Duration) -> Vec<u8> {
    let timeout = timeout.try_into().ok();
    let stdin = io::stdin();
    let mut ready = [PollFd::new(&stdin, PollFlags::IN)];
    let mut keys = [0; 64];
    match poll(&mut ready, timeout.as_ref()) {
        Ok(1..) => stdin.lock().read(&mut keys).map(|n| keys[..n].to_vec()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// ratatui backend that writes ANSI sequences to stderr.
#[derive(Debug, Default)]
pub struct AnsiBackend {
    text: String,
    /// Omits colours because `NO_COLOR` is set; bold, dim and reversed stay.
    plain: bool,
}

impl AnsiBackend {
    /// Creates a backend, without colours if `NO_COLOR` is set.
    pub fn new() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { text: String::new(), plain }
    }

    fn put(&mut self, code: &str) -> io::Result<()> {
        self.text += code;
        Ok(())
    }
}

/// Returns the escape sequence of a cell's style.
fn style(cell: &Cell, plain: bool) -> String {
    let mut codes = String::from("\x1b[0");
    for (modifier, code) in [(Modifier::BOLD, ";1"), (Modifier::DIM, ";2"), (Modifier::REVERSED, ";7")] {
        if cell.modifier.contains(modifier) {
            codes += code;
        }
    }
    // Only the colours of the terminal's own palette are used.
    let number = |colour: Color| match colour {
        Color::Black => Some(0),
        Color::Red => Some(1),
        Color::Green => Some(2),
        Color::Yellow => Some(3),
        Color::Blue => Some(4),
        Color::Magenta => Some(5),
        Color::Cyan => Some(6),
        Color::Gray => Some(7),
        _ => None,
    };
    for (colour, base) in [(cell.fg, 30), (cell.bg, 40)] {
        if let Some(number) = number(colour).filter(|_| !plain) {
            // Writing to a String cannot fail.
            let _ = write!(codes, ";{}", base + number);
        }
    }
    codes + "m"
}

impl Backend for AnsiBackend {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let (mut next, mut last_style) = (None, String::new());
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                let _ = write!(self.text, "\x1b[{};{}H", y + 1, x + 1);
            }
            let style = style(cell, self.plain);
            if style != last_style {
                self.text += &style;
                last_style = style;
            }
            self.text += cell.symbol();
            next = Some((x + 1, y));
        }
        self.put("\x1b[0m")
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25l")
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.put("\x1b[?25h")
    }

    /// Returns the origin: the cursor is hidden.
    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.put(&format!("\x1b[{};{}H", y + 1, x + 1))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.put(match region {
            ClearType::All => "\x1b[2J",
            ClearType::AfterCursor => "\x1b[J",
            ClearType::BeforeCursor => "\x1b[1J",
            ClearType::CurrentLine => "\x1b[2K",
            ClearType::UntilNewLine => "\x1b[K",
        })
    }

    fn size(&self) -> io::Result<Size> {
        let size = tcgetwinsize(io::stderr())?;
        Ok(Size::new(size.ws_col, size.ws_row))
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let size = tcgetwinsize(io::stderr())?;
        let pixels = Size::new(size.ws_xpixel, size.ws_ypixel);
        Ok(WindowSize { columns_rows: self.size()?, pixels })
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut stderr = io::stderr().lock();
        stderr.write_all(self.text.as_bytes())?;
        self.text.clear();
        stderr.flush()
    }
}

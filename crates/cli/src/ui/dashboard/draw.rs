//! Draws the dashboard: numbers on top, curves in the middle, recent events below.
//!
//! It fits 80x24; larger terminals also show curves of throughput and data wait. Colour is never
//! the only distinction: each title says what is drawn as dots.

use super::super::numbers::{duration, learning_rate, percent, rate, thousands};
use super::state::{DashboardState, EpochPoint};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

/// Smallest size for the dashboard; below, a single line is shown.
const SMALLEST: (u16, u16) = (50, 16);

/// Smallest size for the additional curves.
const LARGE: (u16, u16) = (120, 36);

const TRAINING: Style = Style::new().fg(Color::Blue);
const VALIDATION: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws `state`, `elapsed` seconds after the start.
pub fn draw(frame: &mut Frame<'_>, state: &DashboardState, elapsed: f64) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{} {}  {}", place(state), loss(state), time(state, elapsed));
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let large = area.width >= LARGE.0 && area.height >= LARGE.1;
    let events = if large { 12 } else { 6 };
    let rows = [Constraint::Length(6), Constraint::Min(6), Constraint::Length(events), Constraint::Length(1)];
    let [head, middle, recent, foot] = Layout::vertical(rows).areas(area);
    numbers(frame, state, elapsed, head);
    let halves = Layout::horizontal([Constraint::Ratio(1, 2); 2]);
    let (curves, below) = if large {
        let [curves, below] = Layout::vertical([Constraint::Ratio(3, 5), Constraint::Ratio(2, 5)]).areas(middle);
        (curves, Some(below))
    } else {
        (middle, None)
    };
    let [left, right] = halves.areas(curves);
    losses(frame, state, left);
    errors(frame, state, right);
    if let Some(below) = below {
        let [left, right] = halves.areas(below);
        speeds(frame, state, left);
        waits(frame, state, right);
    }
    recent_events(frame, state, recent);
    let keys = if state.stopping {
        "stopping after this step, with a checkpoint; Ctrl-C again stops at once"
    } else {
        "q or Ctrl-C: stop after this step, with a checkpoint"
    };
    frame.render_widget(Paragraph::new(keys).style(QUIET), foot);
}

fn place(state: &DashboardState) -> String {
    let epoch = (state.step.saturating_sub(1) / state.steps_per_epoch.max(1)) + 1;
    let epochs = state.steps.div_ceil(state.steps_per_epoch.max(1));
    format!("epoch {epoch}/{epochs}  step {}/{}", thousands(state.step), thousands(state.steps))
}

fn loss(state: &DashboardState) -> String {
    state.means.loss.map_or_else(|| "loss -".into(), |loss| format!("loss {loss:.4}"))
}

fn time(state: &DashboardState, elapsed: f64) -> String {
    let left = state.means.left(state.steps.saturating_sub(state.step));
    let left = left.map_or_else(|| "-".into(), duration);
    format!("{} elapsed, {left} left", duration(elapsed))
}

/// Draws progress, loss, speed and errors.
fn numbers(frame: &mut Frame<'_>, state: &DashboardState, elapsed: f64, area: Rect) {
    let block = Block::bordered().title(Span::styled(format!(" {} ", state.title), Modifier::BOLD));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [bar, first, second, third] = Layout::vertical([Constraint::Length(1); 4]).areas(inner);
    let share = if state.steps > 0 { state.step as f64 / state.steps as f64 } else { 0.0 };
    let gauge = Gauge::default().ratio(share.clamp(0.0, 1.0)).gauge_style(TRAINING).use_unicode(true);
    frame.render_widget(gauge.label(format!("{:.1} %", 100.0 * share)), bar);
    let task = state.task.as_ref().map(|task| match task.total {
        0 => format!("  {}: {}", task.name, thousands(task.done)),
        total => format!("  {}: {} of {}", task.name, thousands(task.done), thousands(total)),
    });
    let line = format!("{}  {}{}", place(state), time(state, elapsed), task.unwrap_or_default());
    frame.render_widget(Paragraph::new(line), first);
    let last = state.epochs.last();
    let speed = state.means.rate(state.batch).map_or_else(|| "-".into(), rate);
    let wait = last.map_or_else(|| "-".into(), |epoch| format!("{:.1} %", 100.0 * epoch.data_wait));
    let memory = state.memory_mb.map_or_else(|| "-".into(), |mb| format!("{} MB", thousands(mb)));
    let line = format!(
        "{}  lr {}  {speed} images/s  data wait {wait}  peak memory {memory}",
        loss(state),
        learning_rate(state.lr)
    );
    frame.render_widget(Paragraph::new(line), second);
    let errors = match last {
        None => "errors are known after the first epoch".to_owned(),
        Some(epoch) => {
            let best = state.best().map(|best| format!(", best {}", percent(Some(best)))).unwrap_or_default();
            let validation = epoch.val_error.map(|error| format!("  validation error {}{best}", percent(Some(error))));
            format!("training error {}{}", percent(Some(epoch.train_error)), validation.unwrap_or_default())
        }
    };
    frame.render_widget(Paragraph::new(errors), third);
}

/// Returns (step, value) for one value of the epochs.
fn by_epoch(state: &DashboardState, value: impl Fn(&EpochPoint) -> Option<f64>) -> Vec<(f64, f64)> {
    state.epochs.iter().filter_map(|epoch| Some((epoch.step as f64, value(epoch)?))).collect()
}

fn losses(frame: &mut Frame<'_>, state: &DashboardState, area: Rect) {
    let validation = by_epoch(state, |epoch| epoch.val_loss);
    let curves = [line(&state.losses), dots(&validation)];
    let points = [&state.losses[..], &validation];
    chart(frame, state, "loss (dots: validation)", curves, points, floor(points), area);
}

fn errors(frame: &mut Frame<'_>, state: &DashboardState, area: Rect) {
    let training = by_epoch(state, |epoch| Some(epoch.train_error));
    let validation = by_epoch(state, |epoch| epoch.val_error);
    let curves = [line(&training), dots(&validation)];
    let points = [&training[..], &validation];
    chart(frame, state, "error, % (dots: validation)", curves, points, floor(points), area);
}

fn speeds(frame: &mut Frame<'_>, state: &DashboardState, area: Rect) {
    chart(frame, state, "images per second", [line(&state.speeds), dots(&[])], [&state.speeds, &[]], 0.0, area);
}

fn waits(frame: &mut Frame<'_>, state: &DashboardState, area: Rect) {
    let waits = by_epoch(state, |epoch| Some(100.0 * epoch.data_wait));
    chart(frame, state, "waiting for data, % of the time", [dots(&waits), dots(&[])], [&waits, &[]], 0.0, area);
}

fn line(points: &[(f64, f64)]) -> Dataset<'_> {
    Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(TRAINING).data(points)
}

fn dots(points: &[(f64, f64)]) -> Dataset<'_> {
    Dataset::default().marker(Marker::Dot).graph_type(GraphType::Scatter).style(VALIDATION).data(points)
}

/// Returns the lower end of an axis: zero, unless the curve would only fill its upper third.
fn floor(points: [&[(f64, f64)]; 2]) -> f64 {
    let values = || points.into_iter().flatten().map(|point| point.1);
    let (lowest, highest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if lowest.is_finite() && lowest > highest / 3.0 { 0.9 * lowest } else { 0.0 }
}

fn chart(
    frame: &mut Frame<'_>,
    state: &DashboardState,
    title: &str,
    curves: [Dataset<'_>; 2],
    points: [&[(f64, f64)]; 2],
    bottom: f64,
    area: Rect,
) {
    let all = || points.into_iter().flatten();
    let highest = all().map(|point| point.1).fold(0.0, f64::max);
    let top = if highest > bottom { highest + 0.05 * (highest - bottom) } else { bottom + 1.0 };
    let (first, last) = (all().map(|point| point.0).fold(state.step as f64, f64::min), state.step.max(1) as f64);
    let label = |value: f64| Span::from(if top < 10.0 { format!("{value:.2}") } else { format!("{value:.0}") });
    let step = |step: f64| thousands(step as u64);
    let x = Axis::default()
        .bounds([first.min(last - 1.0), last])
        .labels([Span::from(step(first)), Span::from(format!("step {}", step(last)))])
        .labels_alignment(Alignment::Right)
        .style(QUIET);
    let y =
        Axis::default().bounds([bottom, top]).labels([bottom, f64::midpoint(bottom, top), top].map(label)).style(QUIET);
    let block = Block::bordered().title(format!(" {title} "));
    frame.render_widget(Chart::new(curves.to_vec()).block(block).x_axis(x).y_axis(y).legend_position(None), area);
}

/// Draws the recent events, newest last.
fn recent_events(frame: &mut Frame<'_>, state: &DashboardState, area: Rect) {
    let block = Block::bordered().title(" events ");
    let inner = block.inner(area);
    let hidden = state.recent.len().saturating_sub(usize::from(inner.height));
    let lines = state.recent.iter().skip(hidden).map(|(at, text)| {
        Line::from(vec![Span::styled(format!("{:>8}  ", duration(*at)), QUIET), Span::from(text.as_str())])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

//! The dashboard as characters: numbers above, curves between, recent events below.
//!
//! It fits 80x24; with room, throughput and data wait get curves of their own. Nothing is told by colour alone: what is drawn
//! with dots and what with a line stands in each title.

use super::super::numbers::{duration, learning_rate, percent, rate, thousands};
use super::story::{Epoch, Story};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph};

/// Smaller than this, only the most important line is shown.
const SMALLEST: (u16, u16) = (50, 16);

/// From this size on there is room for more curves.
const LARGE: (u16, u16) = (120, 36);

const TRAINING: Style = Style::new().fg(Color::Blue);
const VALIDATION: Style = Style::new().fg(Color::Yellow);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);

/// Draws `story`, `elapsed` seconds after its beginning.
pub fn draw(frame: &mut Frame<'_>, story: &Story, elapsed: f64) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!("{} {}  {}", place(story), loss(story), time(story, elapsed));
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let large = area.width >= LARGE.0 && area.height >= LARGE.1;
    let events = if large { 12 } else { 6 };
    let rows = [Constraint::Length(6), Constraint::Min(6), Constraint::Length(events), Constraint::Length(1)];
    let [head, middle, recent, foot] = Layout::vertical(rows).areas(area);
    numbers(frame, story, elapsed, head);
    let halves = Layout::horizontal([Constraint::Ratio(1, 2); 2]);
    let (curves, below) = if large {
        let [curves, below] = Layout::vertical([Constraint::Ratio(3, 5), Constraint::Ratio(2, 5)]).areas(middle);
        (curves, Some(below))
    } else {
        (middle, None)
    };
    let [left, right] = halves.areas(curves);
    losses(frame, story, left);
    errors(frame, story, right);
    if let Some(below) = below {
        let [left, right] = halves.areas(below);
        speeds(frame, story, left);
        waits(frame, story, right);
    }
    happenings(frame, story, recent);
    let keys = if story.stopping {
        "stopping after this step, with a checkpoint; Ctrl-C again stops at once"
    } else {
        "q or Ctrl-C: stop after this step, with a checkpoint"
    };
    frame.render_widget(Paragraph::new(keys).style(QUIET), foot);
}

fn place(story: &Story) -> String {
    let epoch = (story.step.saturating_sub(1) / story.steps_per_epoch.max(1)) + 1;
    let epochs = story.steps.div_ceil(story.steps_per_epoch.max(1));
    format!("epoch {epoch}/{epochs}  step {}/{}", thousands(story.step), thousands(story.steps))
}

fn loss(story: &Story) -> String {
    story.means.loss.map_or_else(|| "loss -".into(), |loss| format!("loss {loss:.4}"))
}

fn time(story: &Story, elapsed: f64) -> String {
    let left = story.means.left(story.steps.saturating_sub(story.step));
    let left = left.map_or_else(|| "-".into(), duration);
    format!("{} so far, {left} left", duration(elapsed))
}

/// Where the run stands.
fn numbers(frame: &mut Frame<'_>, story: &Story, elapsed: f64, area: Rect) {
    let block = Block::bordered().title(Span::styled(format!(" {} ", story.title), Modifier::BOLD));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [bar, first, second, third] = Layout::vertical([Constraint::Length(1); 4]).areas(inner);
    let share = if story.steps > 0 { story.step as f64 / story.steps as f64 } else { 0.0 };
    let gauge = Gauge::default().ratio(share.clamp(0.0, 1.0)).gauge_style(TRAINING).use_unicode(true);
    frame.render_widget(gauge.label(format!("{:.1} %", 100.0 * share)), bar);
    let doing = story.work.as_ref().map(|work| match work.total {
        0 => format!("  {}: {}", work.what, thousands(work.done)),
        total => format!("  {}: {} of {}", work.what, thousands(work.done), thousands(total)),
    });
    let line = format!("{}  {}{}", place(story), time(story, elapsed), doing.unwrap_or_default());
    frame.render_widget(Paragraph::new(line), first);
    let last = story.epochs.last();
    let speed = story.means.rate(story.batch).map_or_else(|| "-".into(), rate);
    let wait = last.map_or_else(|| "-".into(), |epoch| format!("{:.1} %", 100.0 * epoch.waiting));
    let memory = story.memory_mb.map_or_else(|| "-".into(), |mb| format!("{} MB", thousands(mb)));
    let line = format!(
        "{}  lr {}  {speed} images/s  data wait {wait}  memory {memory} at most",
        loss(story),
        learning_rate(story.lr)
    );
    frame.render_widget(Paragraph::new(line), second);
    let errors = match last {
        None => "errors come with the end of the first epoch".to_owned(),
        Some(epoch) => {
            let best = story.best().map(|best| format!(", {} at best", percent(Some(best)))).unwrap_or_default();
            let validation = epoch.val_error.map(|error| format!("  validation error {}{best}", percent(Some(error))));
            format!("training error {}{}", percent(Some(epoch.train_error)), validation.unwrap_or_default())
        }
    };
    frame.render_widget(Paragraph::new(errors), third);
}

/// Points by step for one value of the epochs.
fn by_epoch(story: &Story, value: impl Fn(&Epoch) -> Option<f64>) -> Vec<(f64, f64)> {
    story.epochs.iter().filter_map(|epoch| Some((epoch.step as f64, value(epoch)?))).collect()
}

fn losses(frame: &mut Frame<'_>, story: &Story, area: Rect) {
    let validation = by_epoch(story, |epoch| epoch.val_loss);
    let curves = [line(&story.losses), dots(&validation)];
    let points = [&story.losses[..], &validation];
    chart(frame, story, "loss (dots: validation)", curves, points, floor(points), area);
}

fn errors(frame: &mut Frame<'_>, story: &Story, area: Rect) {
    let training = by_epoch(story, |epoch| Some(epoch.train_error));
    let validation = by_epoch(story, |epoch| epoch.val_error);
    let curves = [line(&training), dots(&validation)];
    let points = [&training[..], &validation];
    chart(frame, story, "error, % (dots: validation)", curves, points, floor(points), area);
}

fn speeds(frame: &mut Frame<'_>, story: &Story, area: Rect) {
    chart(frame, story, "images per second", [line(&story.speeds), dots(&[])], [&story.speeds, &[]], 0.0, area);
}

fn waits(frame: &mut Frame<'_>, story: &Story, area: Rect) {
    let waits = by_epoch(story, |epoch| Some(100.0 * epoch.waiting));
    chart(frame, story, "waiting for data, % of the time", [dots(&waits), dots(&[])], [&waits, &[]], 0.0, area);
}

fn line(points: &[(f64, f64)]) -> Dataset<'_> {
    Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(TRAINING).data(points)
}

fn dots(points: &[(f64, f64)]) -> Dataset<'_> {
    Dataset::default().marker(Marker::Dot).graph_type(GraphType::Scatter).style(VALIDATION).data(points)
}

/// Where the axis of a curve begins: at zero, unless that would press the curve against the ceiling.
fn floor(points: [&[(f64, f64)]; 2]) -> f64 {
    let values = || points.into_iter().flatten().map(|point| point.1);
    let (lowest, highest) = (values().fold(f64::INFINITY, f64::min), values().fold(0.0, f64::max));
    if lowest.is_finite() && lowest > highest / 3.0 { 0.9 * lowest } else { 0.0 }
}

fn chart(
    frame: &mut Frame<'_>,
    story: &Story,
    title: &str,
    curves: [Dataset<'_>; 2],
    points: [&[(f64, f64)]; 2],
    bottom: f64,
    area: Rect,
) {
    let all = || points.into_iter().flatten();
    let highest = all().map(|point| point.1).fold(0.0, f64::max);
    let top = if highest > bottom { highest + 0.05 * (highest - bottom) } else { bottom + 1.0 };
    let (first, last) = (all().map(|point| point.0).fold(story.step as f64, f64::min), story.step.max(1) as f64);
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

/// What happened last, the newest below.
fn happenings(frame: &mut Frame<'_>, story: &Story, area: Rect) {
    let block = Block::bordered().title(" events ");
    let inner = block.inner(area);
    let hidden = story.recent.len().saturating_sub(usize::from(inner.height));
    let lines = story.recent.iter().skip(hidden).map(|(at, text)| {
        Line::from(vec![Span::styled(format!("{:>8}  ", duration(*at)), QUIET), Span::from(text.as_str())])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

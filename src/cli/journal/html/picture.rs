//! A timeline on the page: one picture a bar, all on one scale, so that it can be read on a narrow
//! screen as well. Pure.

use std::fmt::Write;

use super::super::chart::Chart;
use super::super::{timeline, words};
use super::escape::Text;
use crate::spans::{Bar, Lane};

/// The width of a picture in its own units; what is short is drawn three of them wide.
const WIDTH: i64 = 1000;
const LEAST: i64 = 3;

/// A chart with its title.
pub(super) fn write(chart: &Chart, html: &mut String) {
    let Some((from, to)) = chart.ends() else { return };
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        html,
        "<h3>{}</h3>\n<p class=\"faint\">{}, from {} to {}</p>\n<div class=\"bars\">",
        Text(&timeline::title(chart)),
        chart.took(),
        words::time(from),
        words::time(to),
    );
    for bar in &chart.bars {
        let class = match bar.lane {
            Lane::Phase(_) => "phase",
            Lane::Step(_) => "step",
            Lane::Away => "away",
        };
        let rects = downs(chart) + &rect(chart, bar, class);
        let length = words::duration(bar.to - bar.from);
        row(&bar.lane.name(), &length, &rects, html);
    }
    for down in &chart.downs {
        let bar = Bar { lane: Lane::Away, from: down.from, to: down.to.unwrap_or(to) };
        row("daemon down", &words::down(down), &rect(chart, &bar, "gap"), html);
    }
    html.push_str("</div>\n");
}

fn row(name: &str, length: &str, rects: &str, html: &mut String) {
    let (name, length) = (Text(name), Text(length));
    let _ = writeln!(
        html,
        "<div class=\"bar\"><span>{name}</span><span class=\"length\">{length}</span>\
         <svg viewBox=\"0 0 {WIDTH} 10\" preserveAspectRatio=\"none\" role=\"img\" \
         aria-label=\"{name}: {length}\">{rects}</svg></div>",
    );
}

/// The times without a daemon, behind each bar.
fn downs(chart: &Chart) -> String {
    let Some((_, to)) = chart.ends() else { return String::new() };
    let downs = chart.downs.iter().map(|down| {
        let bar = Bar { lane: Lane::Away, from: down.from, to: down.to.unwrap_or(to) };
        rect(chart, &bar, "down")
    });
    downs.collect()
}

fn rect(chart: &Chart, bar: &Bar, class: &str) -> String {
    let (left, width) = chart.place(bar.from, bar.to, WIDTH, LEAST);
    let (y, height) = if class == "down" { (0, 10) } else { (2, 6) };
    format!(
        "<rect class=\"{class}\" x=\"{left}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
    )
}

//! Rate and latency of each link, and of what came through, over time, as a figure.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::contender::Contender;
use crate::report::{DATAGRAM_BITS, latencies};
use crate::rig::{Measured, SAMPLE, Sample};
use crate::scenario::Scenario;

/// Of three charts, one above the other.
const SIZE: (u32, u32) = (900, 780);
const CHART: i32 = 250;
const COLOURS: [RGBColor; 4] =
    [RGBColor(31, 119, 180), RGBColor(255, 127, 14), RGBColor(44, 160, 44), RGBColor(148, 103, 189)];

pub(crate) fn draw(
    file: &Path,
    scenario: &Scenario,
    contender: Contender,
    measured: &Measured,
) -> Result<()> {
    let area = SVGBackend::new(file, SIZE).into_drawing_area();
    let drawn = figure(&area, scenario, contender, measured);
    drawn.map_err(|error| anyhow!("{}: {error}", file.display()))
}

type Drawn<'a> = std::result::Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

fn figure<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    scenario: &Scenario,
    contender: Contender,
    measured: &Measured,
) -> Drawn<'a> {
    area.fill(&WHITE)?;
    let title = format!("{}, {}", scenario.name, contender.name());
    let (rate, rest) = area.titled(&title, ("sans-serif", 18))?.split_vertically(CHART);
    let (way, latency) = rest.split_vertically(CHART);
    let end = measured.samples.last().map_or(1.0, |sample| sample.at.as_secs_f64());
    let each = |of: fn(&Measured, usize) -> Vec<(f64, f64)>| {
        (0..scenario.links.len()).map(move |link| (format!("link {}", link + 1), of(measured, link)))
    };
    let mut rates: Vec<_> = each(rates).collect();
    rates.push(("in time".to_owned(), goodput(scenario, measured)));
    chart(&rate, "Mbit/s", end, &rates)?;
    chart(&way, "one way, ms", end, &each(ways).collect::<Vec<_>>())?;
    chart(&latency, "latency, ms", end, &delays(scenario, measured))?;
    area.present()
}

/// What went into a link, Mbit/s.
fn rates(measured: &Measured, link: usize) -> Vec<(f64, f64)> {
    let rate = |pair: &[Sample]| {
        let bits = (pair[1].links[link].pushed_bytes - pair[0].links[link].pushed_bytes) as f64 * 8.0;
        let seconds = (pair[1].at - pair[0].at).as_secs_f64().max(f64::EPSILON);
        (pair[1].at.as_secs_f64(), bits / seconds / 1e6)
    };
    measured.samples.windows(2).map(rate).collect()
}

/// Mean time of what arrived by a link, ms: its queue and its way.
fn ways(measured: &Measured, link: usize) -> Vec<(f64, f64)> {
    let way = |pair: &[Sample]| {
        let [before, after] = [&pair[0].links[link], &pair[1].links[link]];
        let arrived = after.delivered - before.delivered;
        let took = (after.delay - before.delay).as_secs_f64() * 1e3;
        (arrived > 0).then(|| (pair[1].at.as_secs_f64(), took / arrived as f64))
    };
    measured.samples.windows(2).filter_map(way).collect()
}

/// What came in time, Mbit/s, by the time at which it was sent.
fn goodput(scenario: &Scenario, measured: &Measured) -> Vec<(f64, f64)> {
    let per_slot = |slot: &Vec<Duration>| slot.len() as f64 * DATAGRAM_BITS / SAMPLE.as_secs_f64() / 1e6;
    slots(scenario, measured).iter().map(|(at, slot)| (*at, per_slot(slot))).collect()
}

/// Median and maximum, ms, by the time of sending.
fn delays(scenario: &Scenario, measured: &Measured) -> Vec<(String, Vec<(f64, f64)>)> {
    let slots = slots(scenario, measured);
    let of = |pick: &dyn Fn(&[Duration]) -> Option<Duration>| {
        slots.iter().filter_map(|(at, slot)| Some((*at, pick(slot)?.as_secs_f64() * 1e3))).collect()
    };
    vec![
        ("median".to_owned(), of(&|slot| slot.get(slot.len() / 2).copied())),
        ("maximum".to_owned(), of(&|slot| slot.last().copied())),
    ]
}

/// Latencies by the time of sending, sorted within each.
fn slots(scenario: &Scenario, measured: &Measured) -> Vec<(f64, Vec<Duration>)> {
    let slot_of = |at: Duration| (at.as_secs_f64() / SAMPLE.as_secs_f64()) as usize;
    let first = slot_of(measured.from);
    let mut slots = vec![Vec::new(); slot_of(measured.to).saturating_sub(first)];
    for (number, latency) in latencies(scenario, measured).0 {
        let slot = slot_of(Duration::from_micros(measured.sent[number])) - first;
        if let Some(slot) = slots.get_mut(slot) {
            slot.push(latency);
        }
    }
    slots.iter_mut().for_each(|slot| slot.sort_unstable());
    slots.into_iter().zip(first..).map(|(slot, index)| (index as f64 * SAMPLE.as_secs_f64(), slot)).collect()
}

fn chart<'a>(
    area: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    unit: &str,
    end: f64,
    series: &[(String, Vec<(f64, f64)>)],
) -> Drawn<'a> {
    let top = series.iter().flat_map(|(_, points)| points).map(|&(_, y)| y).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..end, 0.0..top * 1.05)?;
    chart.configure_mesh().x_desc("s").y_desc(unit).light_line_style(WHITE).draw()?;
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS.get(index).copied().unwrap_or(BLACK);
        chart
            .draw_series(LineSeries::new(points.iter().copied(), &colour))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(BLACK).draw()
}

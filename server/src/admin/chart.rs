//! A line over the last hour as a small SVG picture.

use std::fmt;

use super::history::{KEPT, Series, Unit};

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 72.0;

/// A chart with its heading, what it shows now and the most it showed.
pub(super) struct Chart<'a> {
    pub(super) series: &'a Series,
    pub(super) values: Vec<f64>,
}

impl fmt::Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.series.unit;
        let most = self.values.iter().copied().fold(0.0, f64::max);
        let title = self.series.title;
        let (now, peak) = match self.values.last() {
            Some(now) => (shown(*now, unit), shown(most, unit)),
            None => ("–".to_owned(), "–".to_owned()),
        };
        write!(
            f,
            "<figure class=\"card\"><figcaption><span>{title}</span><strong>{now}</strong></figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{title} over the last hour: now {now}, at most {peak}\">\
             <line class=\"floor\" x1=\"0\" x2=\"{WIDTH}\" y1=\"{HEIGHT}\" y2=\"{HEIGHT}\"/>"
        )?;
        let points = points(&self.values, most);
        if let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) {
            let line: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            let line = line.join(" ");
            write!(
                f,
                "<polygon class=\"area\" points=\"{first:.1},{HEIGHT} {line} {last:.1},{HEIGHT}\"/>\
                 <polyline class=\"line\" points=\"{line}\"/>"
            )?;
        }
        write!(f, "</svg><p class=\"peak\">at most {peak}</p></figure>")
    }
}

/// The newest value is at the right edge; an hour fills the width.
fn points(values: &[f64], most: f64) -> Vec<(f64, f64)> {
    /// Room above the highest point, so that its line is not cut.
    const HEADROOM: f64 = 4.0;
    let scale = if most > 0.0 {
        (HEIGHT - HEADROOM) / most
    } else {
        0.0
    };
    let x = |age: u32| WIDTH - f64::from(age) * WIDTH / step_count();
    let mut points: Vec<_> = (0..)
        .zip(values.iter().rev())
        .map(|(age, value)| (x(age), HEIGHT - value * scale))
        .collect();
    points.reverse();
    points
}

#[allow(clippy::cast_precision_loss, reason = "a constant of three digits")]
fn step_count() -> f64 {
    (KEPT - 1) as f64
}

/// A number with its unit, in three digits or so.
pub(super) fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => format!("{}/s", scaled(value, 1000.0, &["", " k", " M", " G"])),
        Unit::Number => scaled(value, 1000.0, &["", " k", " M", " G"]),
        Unit::Bytes => scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"]),
        Unit::BytesPerSecond => format!("{}/s", scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB"])),
    }
}

fn scaled(value: f64, base: f64, units: &[&str]) -> String {
    let mut value = value;
    let mut units = units.iter();
    let mut unit = units.next().copied().unwrap_or_default();
    for larger in units {
        if value < base {
            break;
        }
        value /= base;
        unit = larger;
    }
    let whole = (value - value.round()).abs() < 0.005;
    let digits = if whole || value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::history::SERIES;

    #[test]
    fn numbers_are_shown_as_people_read_them() {
        for (value, unit, text) in [
            (0.0, Unit::PerSecond, "0/s"),
            (0.25, Unit::PerSecond, "0.25/s"),
            (12_345.0, Unit::PerSecond, "12.3 k/s"),
            (7.0, Unit::Number, "7"),
            (999.0, Unit::Number, "999"),
            (1024.0 * 1024.0 * 1.5, Unit::Bytes, "1.50 MiB"),
            (512.0, Unit::BytesPerSecond, "512 B/s"),
        ] {
            assert_eq!(shown(value, unit), text);
        }
    }

    #[test]
    fn the_newest_value_is_at_the_right_and_the_highest_fits() {
        let points = points(&[0.0, 10.0, 5.0], 10.0);
        assert_eq!(points.len(), 3);
        let (x, y) = points[2];
        assert!((x - WIDTH).abs() < 1e-9 && y > 0.0 && y < HEIGHT);
        assert!((points[0].1 - HEIGHT).abs() < 1e-9);
        assert!(points[1].1 >= 0.0);
    }

    #[test]
    fn a_chart_without_values_says_so() {
        let chart = Chart {
            series: &SERIES[0],
            values: Vec::new(),
        };
        let text = chart.to_string();
        assert!(text.contains("now –") && !text.contains("polyline"), "{text}");
    }
}

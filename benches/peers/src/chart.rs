use std::error::Error;
use std::path::Path;

use plotters::coord::combinators::IntoLogRange as _;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use crate::Result;
use crate::report::{spread, thousands};

const WIDTH: u32 = 760;
const HEIGHT: u32 = 460;
const COLORS: [RGBColor; 11] = [
    RGBColor(0, 95, 204),
    RGBColor(208, 66, 22),
    RGBColor(30, 132, 73),
    RGBColor(126, 60, 168),
    RGBColor(184, 134, 11),
    RGBColor(0, 134, 139),
    RGBColor(196, 36, 112),
    RGBColor(90, 90, 90),
    RGBColor(110, 139, 61),
    RGBColor(72, 61, 139),
    RGBColor(160, 82, 45),
];

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

pub struct Panel {
    pub caption: String,
    pub x: &'static str,
    /// Between two labels of the x-axis, which is logarithmic, lies this factor.
    pub base: f64,
    pub y: &'static str,
    pub series: Vec<Series>,
}

/// Draws the panels beside each other, on white.
pub fn draw(path: &Path, panels: &[Panel]) -> Result<()> {
    let count = u32::try_from(panels.len())?;
    let root = SVGBackend::new(path, (WIDTH * count, HEIGHT)).into_drawing_area();
    let drawn = root.fill(&WHITE).map_err(|error| error.to_string());
    drawn?;
    for (area, panel) in root.split_evenly((1, panels.len())).iter().zip(panels) {
        draw_panel(area, panel).map_err(|error| error.to_string())?;
    }
    root.present().map_err(|error| error.to_string().into())
}

fn draw_panel<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    panel: &Panel,
) -> std::result::Result<(), Box<dyn Error>>
where
    DB::ErrorType: 'static,
{
    let all = || panel.series.iter().flat_map(|series| &series.points);
    let (first, last) = spread(&all().map(|(x, _)| *x).collect::<Vec<_>>());
    let (_, highest) = spread(&all().map(|(_, y)| *y).collect::<Vec<_>>());
    let mut chart = ChartBuilder::on(area)
        .caption(&panel.caption, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(72)
        .build_cartesian_2d(
            (first..last).log_scale().base(panel.base),
            0.0..highest * 1.15,
        )?;
    chart
        .configure_mesh()
        .x_desc(panel.x)
        .y_desc(panel.y)
        .x_label_formatter(&|x| thousands(*x))
        .y_label_formatter(&|y| thousands(*y))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 15))
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .draw()?;
    for (series, color) in panel.series.iter().zip(COLORS) {
        draw_series(&mut chart, series, color)?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(200, 200, 200))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}

fn draw_series<
    'a,
    DB: DrawingBackend + 'a,
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
>(
    chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>,
    series: &Series,
    color: RGBColor,
) -> std::result::Result<(), Box<dyn Error>>
where
    DB::ErrorType: 'static,
{
    let points = || series.points.iter().copied();
    chart
        .draw_series(LineSeries::new(points(), color.stroke_width(2)))?
        .label(&series.name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    chart.draw_series(points().map(|point| Circle::new(point, 3, color.filled())))?;
    Ok(())
}

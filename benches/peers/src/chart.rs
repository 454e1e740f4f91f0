//! The plots beside the tables.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::prelude::*;

use crate::Result;
use crate::report::spread;

const FONT: &str = "sans-serif";

const COLORS: [RGBColor; 3] = [
    RGBColor(0, 95, 204),
    RGBColor(208, 66, 22),
    RGBColor(30, 132, 73),
];

const GREY: RGBColor = RGBColor(130, 130, 130);

pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

/// Panels of one size, row by row.
pub struct Chart {
    pub columns: usize,
    pub rows: usize,
    pub panel_size: (u32, u32),
    pub x: &'static str,
    pub y: &'static str,
    pub x_label: fn(&f64) -> String,
    pub y_label: fn(&f64) -> String,
    /// The end of the y-axis.
    pub highest: f64,
    /// Where a target lies.
    pub limit: Option<f64>,
    /// Where the first panel explains the colours, for all.
    pub legend: SeriesLabelPosition,
    /// Caption and lines, all over the same x, whose axis is logarithmic.
    pub panels: Vec<(String, Vec<Series>)>,
}

impl Chart {
    /// Draws on white, for pages in whatever colour.
    pub fn draw(self, path: &Path) -> Result<()> {
        let (width, height) = self.panel_size;
        let (columns, rows) = (u32::try_from(self.columns)?, u32::try_from(self.rows)?);
        let root = SVGBackend::new(path, (width * columns, height * rows)).into_drawing_area();
        let draw = || -> std::result::Result<(), Box<dyn Error>> {
            root.fill(&WHITE)?;
            let areas = root.split_evenly((self.rows, self.columns));
            for (index, area) in areas.iter().enumerate().take(self.panels.len()) {
                self.draw_panel(area, index)?;
            }
            Ok(root.present()?)
        };
        draw().map_err(|error| error.to_string().into())
    }

    fn draw_panel<DB: DrawingBackend>(
        &self,
        area: &DrawingArea<DB, Shift>,
        index: usize,
    ) -> std::result::Result<(), Box<dyn Error>>
    where
        DB::ErrorType: 'static,
    {
        let (caption, series) = &self.panels[index];
        let xs: Vec<f64> = series[0].points.iter().map(|(x, _)| *x).collect();
        let (first, last) = spread(&xs);
        let mut chart = ChartBuilder::on(area)
            .caption(caption, (FONT, 16))
            .margin(10)
            .margin_right(24)
            .x_label_area_size(42)
            .y_label_area_size(62)
            .build_cartesian_2d(
                (first..last).log_scale().with_key_points(xs),
                0.0..self.highest,
            )?;
        chart
            .configure_mesh()
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&self.x_label)
            .y_label_formatter(&self.y_label)
            .label_style((FONT, 12))
            .axis_desc_style((FONT, 13))
            .light_line_style(TRANSPARENT)
            .bold_line_style(RGBColor(225, 225, 225))
            .draw()?;
        if let Some(limit) = self.limit {
            let line = [(first, limit), (last, limit)];
            draw_series(&mut chart, "target", &line, GREY, 0)?;
        }
        for (series, color) in series.iter().zip(COLORS) {
            draw_series(&mut chart, &series.name, &series.points, color, 3)?;
        }
        if index == 0 {
            chart
                .configure_series_labels()
                .position(self.legend.clone())
                .background_style(WHITE.mix(0.85))
                .border_style(RGBColor(200, 200, 200))
                .label_font((FONT, 13))
                .draw()?;
        }
        Ok(())
    }
}

fn draw_series<
    'a,
    DB: DrawingBackend + 'a,
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
>(
    chart: &mut ChartContext<'a, DB, Cartesian2d<X, Y>>,
    name: &str,
    points: &[(f64, f64)],
    color: RGBColor,
    dot: u32,
) -> std::result::Result<(), Box<dyn Error>>
where
    DB::ErrorType: 'static,
{
    let points = || points.iter().copied();
    let width = if dot == 0 { 1 } else { 2 };
    let style = color.stroke_width(width);
    chart
        .draw_series(LineSeries::new(points(), style))?
        .label(name)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    chart.draw_series(points().map(|point| Circle::new(point, dot, color.filled())))?;
    Ok(())
}

//! Building the raster: which shapes touch which cell, and with what.

use std::collections::HashMap;

use super::{CIRCLE, CORRIDOR, EDGE_WORDS, POLYGON, Raster, WHOLE};
use crate::geometry::{
    Bounds, Point, Shape,
    shape::{Edge, Probe, is_within_capsule, is_within_circle},
};

/// No more cells than this: 64 MiB of heads. Cells grow until they fit.
const CELLS_MAX: u64 = 1 << 24;
/// No more pairs of shape and cell in its box than this, for the same reason.
const COVERS_MAX: u64 = 1 << 25;

/// A shape on a cell.
pub(super) struct Cover {
    pub(super) cell: u32,
    pub(super) shape: u32,
    /// `None` covers the cell whole.
    part: Option<Box<[u32]>>,
}

/// The cells while the raster is built.
pub(super) struct Frame {
    origin: Point,
    pub(super) shift: u32,
    columns: u32,
    rows: u32,
}

/// Columns and rows, both ends included.
struct Cells {
    columns: std::ops::RangeInclusive<u32>,
    rows: std::ops::RangeInclusive<u32>,
}

impl Frame {
    pub(super) fn about<'a>(shapes: impl Iterator<Item = &'a Shape>, shift: u32) -> Self {
        let corners = shapes.flat_map(|shape| {
            let bounds = shape.bounds();
            [bounds.low, bounds.high]
        });
        let Some(bounds) = Bounds::around(corners) else {
            return Self {
                origin: Point::default(),
                shift,
                columns: 0,
                rows: 0,
            };
        };
        let count = |low: i32, high: i32| {
            u32::try_from((i64::from(high) - i64::from(low)) >> shift).unwrap_or(0) + 1
        };
        Self {
            origin: bounds.low,
            shift,
            columns: count(bounds.low.x, bounds.high.x),
            rows: count(bounds.low.y, bounds.high.y),
        }
    }

    pub(super) fn is_too_large<'a>(&self, shapes: impl Iterator<Item = &'a Shape>) -> bool {
        let cells = u64::from(self.columns) * u64::from(self.rows);
        let covers: u64 = shapes
            .map(|shape| {
                let bounds = shape.bounds();
                let span = |low: i32, high: i32| {
                    u64::try_from((i64::from(high) - i64::from(low)) >> self.shift).unwrap_or(0) + 2
                };
                span(bounds.low.x, bounds.high.x) * span(bounds.low.y, bounds.high.y)
            })
            .sum();
        cells > CELLS_MAX || covers > COVERS_MAX
    }

    fn column(&self, x: i64) -> u32 {
        Self::step(x - i64::from(self.origin.x), self.shift, self.columns)
    }

    fn row(&self, y: i64) -> u32 {
        Self::step(y - i64::from(self.origin.y), self.shift, self.rows)
    }

    fn step(offset: i64, shift: u32, count: u32) -> u32 {
        u32::try_from((offset >> shift).max(0))
            .unwrap_or(u32::MAX)
            .min(count.saturating_sub(1))
    }

    fn cell(&self, column: u32, row: u32) -> u32 {
        row * self.columns + column
    }

    fn cells(&self, low: (i64, i64), high: (i64, i64)) -> Cells {
        Cells {
            columns: self.column(low.0)..=self.column(high.0),
            rows: self.row(low.1)..=self.row(high.1),
        }
    }

    /// First and last millimetre of a cell on each axis.
    fn corners(&self, column: u32, row: u32) -> (Point, Point) {
        let first = |index: u32, origin: i32| i64::from(origin) + (i64::from(index) << self.shift);
        let last = (1_i64 << self.shift) - 1;
        let (x, y) = (first(column, self.origin.x), first(row, self.origin.y));
        // Cells end less than one cell beyond the bounds, far inside what an i32 holds.
        let narrow = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
        (
            Point {
                x: narrow(x),
                y: narrow(y),
            },
            Point {
                x: narrow(x + last),
                y: narrow(y + last),
            },
        )
    }

    fn center(&self, column: u32, row: u32) -> Probe {
        let half = (1 << (self.shift - 1)) - 1;
        let (low, _) = self.corners(column, row);
        Probe::at(Point {
            x: low.x + half,
            y: low.y + half,
        })
    }

    pub(super) fn cover(&self, id: u32, shape: &Shape, covers: &mut Vec<Cover>) {
        match shape {
            Shape::Polygon(polygon) => self.cover_polygon(id, &polygon.edges, shape, covers),
            Shape::Circle { center, radius } => {
                let bounds = shape.bounds();
                let boundary = [
                    center.x.cast_unsigned(),
                    center.y.cast_unsigned(),
                    radius.cast_unsigned(),
                ];
                for (column, row) in self.within(bounds) {
                    let (low, high) = self.corners(column, row);
                    let nearest = Point {
                        x: center.x.clamp(low.x, high.x),
                        y: center.y.clamp(low.y, high.y),
                    };
                    if !is_within_circle(nearest, *center, *radius) {
                        continue;
                    }
                    let is_whole = four(low, high)
                        .iter()
                        .all(|p| is_within_circle(*p, *center, *radius));
                    let part = (!is_whole).then(|| part(id, CIRCLE, false, &boundary));
                    covers.push(Cover {
                        cell: self.cell(column, row),
                        shape: id,
                        part,
                    });
                }
            }
            Shape::Corridor { line, half_width } => {
                self.cover_corridor(id, line, *half_width, covers);
            }
        }
    }

    fn within(&self, bounds: Bounds) -> impl Iterator<Item = (u32, u32)> + use<> {
        let cells = self.cells(
            (i64::from(bounds.low.x), i64::from(bounds.low.y)),
            (i64::from(bounds.high.x), i64::from(bounds.high.y)),
        );
        let columns = cells.columns;
        cells
            .rows
            .flat_map(move |row| columns.clone().map(move |column| (column, row)))
    }

    fn cover_polygon(&self, id: u32, edges: &[Edge], shape: &Shape, covers: &mut Vec<Cover>) {
        let mut crossed: Vec<(u32, u32)> = Vec::new();
        for (index, edge) in (0_u32..).zip(edges) {
            for (columns, row) in self.cells_of_edge(edge) {
                crossed.extend(columns.map(|column| (self.cell(column, row), index)));
            }
        }
        crossed.sort_unstable();
        let mut rest = crossed.as_slice();
        let mut level: Vec<&Edge> = Vec::new();
        let mut at_row = None;
        for (column, row) in self.within(shape.bounds()) {
            let center = self.center(column, row);
            if at_row != Some(row) {
                at_row = Some(row);
                level.clear();
                level.extend(edges.iter().filter(|edge| edge.spans_y(center.y)));
            }
            let is_inside = level.iter().filter(|edge| edge.is_left(center)).count() % 2 == 1;
            let cell = self.cell(column, row);
            // The margin may name cells beside the bounds: they are passed over.
            let skipped = rest.iter().take_while(|(other, _)| *other < cell).count();
            let taken = rest
                .iter()
                .skip(skipped)
                .take_while(|(other, _)| *other == cell)
                .count();
            let (before, after) = rest.split_at(skipped + taken);
            rest = after;
            let here: Vec<u32> = before
                .iter()
                .skip(skipped)
                .filter_map(|(_, index)| edges.get(*index as usize))
                .flat_map(|edge| words_of(edge.from, edge.to))
                .collect();
            if !here.is_empty() {
                let part = Some(part(id, POLYGON, is_inside, &here));
                covers.push(Cover {
                    cell,
                    shape: id,
                    part,
                });
            } else if is_inside {
                covers.push(Cover {
                    cell,
                    shape: id,
                    part: None,
                });
            }
        }
    }

    /// The columns that an edge crosses in each row; here and there one too many, never too few.
    fn cells_of_edge(
        &self,
        edge: &Edge,
    ) -> impl Iterator<Item = (std::ops::RangeInclusive<u32>, u32)> {
        let (fx, fy) = (i64::from(edge.from.x), i64::from(edge.from.y));
        let (tx, ty) = (i64::from(edge.to.x), i64::from(edge.to.y));
        let (dx, dy) = (tx - fx, ty - fy);
        (self.row(fy)..=self.row(ty)).map(move |row| {
            let low = i64::from(self.origin.y) + (i64::from(row) << self.shift);
            let x_at = |y: i64| if dy == 0 { fx } else { fx + dx * (y - fy) / dy };
            let (a, b) = if dy == 0 {
                (fx, tx)
            } else {
                (
                    x_at(low.clamp(fy, ty)),
                    x_at((low + (1 << self.shift)).clamp(fy, ty)),
                )
            };
            // The division rounds; a millimetre to each side makes good for it.
            (self.column(a.min(b) - 1)..=self.column(a.max(b) + 1), row)
        })
    }

    fn cover_corridor(&self, id: u32, line: &[Point], half_width: i32, covers: &mut Vec<Cover>) {
        let mut crossed: HashMap<u32, Option<Vec<u32>>> = HashMap::new();
        for pair in line.windows(2) {
            let [a, b] = pair else { continue };
            let segment = Shape::Corridor {
                line: vec![*a, *b],
                half_width,
            };
            for (column, row) in self.within(segment.bounds()) {
                let (low, high) = self.corners(column, row);
                let here = crossed.entry(self.cell(column, row));
                if four(low, high)
                    .iter()
                    .all(|p| is_within_capsule(*p, *a, *b, half_width))
                {
                    // A capsule is convex: with its corners it holds the cell.
                    here.insert_entry(None);
                    continue;
                }
                // The circle about the cell reaches the capsule: perhaps one cell too many.
                let half_diagonal = f64::from(1 << self.shift) * 0.71 + 2.0;
                let center = Point {
                    x: low.x + (high.x - low.x) / 2,
                    y: low.y + (high.y - low.y) / 2,
                };
                if segment.signed_distance_mm(center) < -half_diagonal {
                    continue;
                }
                if let Some(words) = here.or_insert_with(|| Some(vec![half_width.cast_unsigned()]))
                {
                    words.extend(words_of(*a, *b));
                }
            }
        }
        covers.extend(crossed.into_iter().map(|(cell, words)| Cover {
            cell,
            shape: id,
            part: words.map(|words| part(id, CORRIDOR, false, &words)),
        }));
    }

    pub(super) fn pack(self, covers: &[Cover]) -> Raster {
        let mut heads = vec![0_u32; self.columns as usize * self.rows as usize];
        // Word 0 is never a record: a head of 0 means nothing.
        let mut words: Vec<u32> = vec![0];
        let mut interned: HashMap<Vec<u32>, u32> = HashMap::new();
        for group in covers.chunk_by(|a, b| a.cell == b.cell) {
            let Some(head) = group.first().and_then(|c| heads.get_mut(c.cell as usize)) else {
                continue;
            };
            let whole = || group.iter().filter(|cover| cover.part.is_none());
            let parts = || group.iter().filter_map(|cover| cover.part.as_deref());
            if let [only] = group
                && only.part.is_none()
            {
                *head = WHOLE | only.shape;
                continue;
            }
            // 65,535 shapes on a cell are beyond any catalog; the rest would not be found.
            let count = |n: usize| u32::try_from(n.min(0xFFFF)).unwrap_or(0xFFFF);
            let (wholes, partials) = (count(whole().count()), count(parts().count()));
            let mut record = vec![wholes | partials << 16];
            record.extend(whole().map(|cover| cover.shape));
            let is_list = partials == 0;
            if is_list && let Some(at) = interned.get(&record) {
                *head = *at;
                continue;
            }
            parts().for_each(|part| record.extend_from_slice(part));
            let at = u32::try_from(words.len()).unwrap_or(0) & !WHOLE;
            words.extend_from_slice(&record);
            *head = at;
            if is_list {
                interned.insert(record, at);
            }
        }
        words.shrink_to_fit();
        Raster {
            origin: self.origin,
            shift: self.shift,
            columns: self.columns,
            rows: self.rows,
            heads,
            words,
        }
    }
}

fn four(low: Point, high: Point) -> [Point; 4] {
    [
        low,
        Point {
            x: high.x,
            y: low.y,
        },
        high,
        Point {
            x: low.x,
            y: high.y,
        },
    ]
}

fn words_of(a: Point, b: Point) -> [u32; EDGE_WORDS] {
    [
        a.x.cast_unsigned(),
        a.y.cast_unsigned(),
        b.x.cast_unsigned(),
        b.y.cast_unsigned(),
    ]
}

fn part(id: u32, kind: u32, is_center_inside: bool, boundary: &[u32]) -> Box<[u32]> {
    let length = u32::try_from(boundary.len()).unwrap_or(0);
    let mut words = Vec::with_capacity(boundary.len() + 2);
    words.extend([id, length << 3 | kind << 1 | u32::from(is_center_inside)]);
    words.extend_from_slice(boundary);
    words.into_boxed_slice()
}

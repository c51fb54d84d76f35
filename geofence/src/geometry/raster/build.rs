//! Building the raster: which shapes touch which cell, and with what.

use std::collections::HashMap;

use super::{
    CIRCLE, CORRIDOR, EDGE_WORDS, POLYGON, Raster, SPLIT, TILE, Tile, WHOLE, at, cell,
    split::{NONE, Split},
};
use crate::geometry::{
    Bounds, Point, Shape,
    shape::{Edge, Probe, is_within_capsule, is_within_circle},
};

/// No more pairs of shape and cell in its box than this: as for the cells, so that a shape that is
/// too large for them takes larger ones.
const COVERS_MAX: u64 = 1 << 25;

/// How many cells of `2^shift` mm lie about these bounds.
pub(super) fn cells_about(bounds: Bounds, shift: u32) -> u64 {
    let count = |low: i32, high: i32| u64::from(high.abs_diff(low) >> shift) + 1;
    count(bounds.low.x, bounds.high.x) * count(bounds.low.y, bounds.high.y)
}

/// A shape on a cell.
pub(super) struct Cover {
    pub(super) cell: u32,
    pub(super) shape: u32,
    /// `None` covers the cell whole.
    part: Option<Part>,
}

/// A shape that covers a cell partly.
struct Part {
    shape: u32,
    /// Column and row.
    place: (u32, u32),
    kind: u32,
    is_center_inside: bool,
    boundary: Box<[u32]>,
}

impl Part {
    fn append(&self, words: &mut Vec<u32>) {
        let length = u32::try_from(self.boundary.len()).unwrap_or(0);
        let meta = length << 3 | self.kind << 1 | u32::from(self.is_center_inside);
        words.extend([self.shape, meta]);
        words.extend_from_slice(&self.boundary);
    }

    fn edge_words(&self) -> impl Iterator<Item = [u32; EDGE_WORDS]> {
        let edges = self.boundary.chunks_exact(EDGE_WORDS);
        edges.filter_map(|words| words.try_into().ok())
    }

    /// In an order that does not depend on the shape.
    fn edges(&self) -> Vec<Edge> {
        let mut words: Vec<[u32; EDGE_WORDS]> = self.edge_words().collect();
        words.sort_unstable();
        let edge = |[ax, ay, bx, by]: [u32; EDGE_WORDS]| Edge {
            from: at(ax, ay),
            to: at(bx, by),
        };
        words.into_iter().map(edge).collect()
    }
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

    pub(super) fn is_too_large<'a>(
        &self,
        shapes: impl Iterator<Item = &'a Shape>,
        cells_max: u64,
    ) -> bool {
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
        cells > cells_max || covers > COVERS_MAX
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
        cell(column, row, self.tile_columns())
    }

    const fn tile_columns(&self) -> u32 {
        self.columns.div_ceil(TILE)
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

    /// The first and the last probe of a cell.
    fn probes(&self, column: u32, row: u32) -> (Probe, Probe) {
        let (low, high) = self.corners(column, row);
        (Probe::at(low), Probe::at(high))
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
                    let part = (!is_whole).then(|| Part {
                        shape: id,
                        place: (column, row),
                        kind: CIRCLE,
                        is_center_inside: false,
                        boundary: boundary.into(),
                    });
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
        let mut crossed: Vec<(u32, u32, u32)> = Vec::new();
        for (index, edge) in (0_u32..).zip(edges) {
            for (columns, row) in self.cells_of_edge(edge) {
                crossed.extend(columns.map(|column| (row, column, index)));
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
            // The margin may name cells beside the bounds: they are passed over.
            let skipped = rest.partition_point(|(r, c, _)| (*r, *c) < (row, column));
            let (_, from_here) = rest.split_at(skipped);
            let taken = from_here.partition_point(|(r, c, _)| (*r, *c) == (row, column));
            let (before, after) = from_here.split_at(taken);
            rest = after;
            let probes = self.probes(column, row);
            let cell = self.cell(column, row);
            let here: Vec<u32> = before
                .iter()
                .filter_map(|(_, _, index)| edges.get(*index as usize))
                .filter(|edge| is_among(edge, probes))
                .flat_map(|edge| words_of(edge.from, edge.to))
                .collect();
            if !here.is_empty() {
                covers.push(Cover {
                    cell,
                    shape: id,
                    part: Some(Part {
                        shape: id,
                        place: (column, row),
                        kind: POLYGON,
                        is_center_inside: is_inside,
                        boundary: here.into_boxed_slice(),
                    }),
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
        let mut crossed: HashMap<(u32, u32), Option<Vec<u32>>> = HashMap::new();
        for pair in line.windows(2) {
            let [a, b] = pair else { continue };
            let segment = Shape::Corridor {
                line: vec![*a, *b],
                half_width,
            };
            for (column, row) in self.within(segment.bounds()) {
                let (low, high) = self.corners(column, row);
                let here = crossed.entry((column, row));
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
        covers.extend(crossed.into_iter().map(|(place, words)| Cover {
            cell: self.cell(place.0, place.1),
            shape: id,
            part: words.map(|words| Part {
                shape: id,
                place,
                kind: CORRIDOR,
                is_center_inside: false,
                boundary: words.into_boxed_slice(),
            }),
        }));
    }

    pub(super) fn pack(self, covers: &[Cover]) -> Raster {
        let tiles = self.tile_columns() as usize * self.rows.div_ceil(TILE) as usize;
        let mut raster = Raster {
            origin: self.origin,
            shift: self.shift,
            columns: self.columns,
            rows: self.rows,
            tile_columns: self.tile_columns(),
            tiles: vec![Tile::default(); tiles],
            splits: Vec::new(),
            // Word 0 is never a record: a head of 0 means nothing.
            words: vec![0],
        };
        let mut interned: HashMap<Vec<u32>, u32> = HashMap::new();
        for group in covers.chunk_by(|a, b| a.cell == b.cell) {
            let Some(first) = group.first() else { continue };
            let head = self.head(group, &mut raster, &mut interned);
            let tile = raster.tiles.get_mut((first.cell / (TILE * TILE)) as usize);
            let place = (first.cell % (TILE * TILE)) as usize;
            if let Some(old) = tile.and_then(|tile| tile.0.get_mut(place)) {
                *old = head;
            }
        }
        raster.splits.shrink_to_fit();
        raster.words.shrink_to_fit();
        raster
    }

    /// Stores what is on a cell.
    fn head(
        &self,
        group: &[Cover],
        raster: &mut Raster,
        interned: &mut HashMap<Vec<u32>, u32>,
    ) -> u32 {
        if let [only] = group
            && only.part.is_none()
        {
            return WHOLE | only.shape;
        }
        let number = |length: usize| u32::try_from(length).unwrap_or(0) & !WHOLE & !SPLIT;
        if let Some(split) = self.split(group) {
            raster.splits.push(split);
            return SPLIT | number(raster.splits.len() - 1);
        }
        let whole = || group.iter().filter(|cover| cover.part.is_none());
        let mut parts: Vec<&Part> = group
            .iter()
            .filter_map(|cover| cover.part.as_ref())
            .collect();
        // 65,535 shapes on a cell are beyond any catalog; the rest would not be found.
        let count = |n: usize| u32::try_from(n.min(0xFFFF)).unwrap_or(0xFFFF);
        let (wholes, partials) = (count(whole().count()), count(parts.len()));
        let mut record = vec![wholes | partials << 16];
        record.extend(whole().map(|cover| cover.shape));
        let is_list = partials == 0;
        if is_list && let Some(at) = interned.get(&record) {
            return *at;
        }
        let rest = is_tiled(&parts).then(|| {
            parts.sort_by_key(|part| part.boundary.len());
            parts.pop()
        });
        for part in parts {
            part.append(&mut record);
        }
        if let Some(rest) = rest.flatten() {
            record.extend([rest.shape, POLYGON << 1]);
        }
        let at = number(raster.words.len());
        raster.words.extend_from_slice(&record);
        if is_list {
            interned.insert(record, at);
        }
        at
    }

    /// The line that divides a cell, where it is not more than that.
    fn split(&self, group: &[Cover]) -> Option<Split> {
        let (first, other) = match group {
            [one] => (one.part.as_ref()?, None),
            [one, other] => (one.part.as_ref()?, Some(other.part.as_ref()?)),
            _ => return None,
        };
        if first.kind != POLYGON {
            return None;
        }
        let edges = first.edges();
        let other_id = match other {
            Some(other) => {
                let is_shared = other.kind == POLYGON
                    && other.edges() == edges
                    && other.is_center_inside != first.is_center_inside;
                if !is_shared {
                    return None;
                }
                other.shape
            }
            None => NONE,
        };
        let ids = if first.is_center_inside {
            (first.shape, other_id)
        } else {
            (other_id, first.shape)
        };
        let (column, row) = first.place;
        Split::new(
            &edges,
            self.probes(column, row),
            self.center(column, row),
            ids,
        )
    }
}

/// A cell without a gap: each of its edges is of two shapes, or four, so whoever crosses it leaves as
/// many as he enters, or two more or fewer. With an odd number of shapes at the centre it is odd
/// everywhere.
fn is_tiled(parts: &[&Part]) -> bool {
    if parts.iter().any(|part| part.kind != POLYGON) {
        return false;
    }
    let mut edges: Vec<[u32; EDGE_WORDS]> =
        parts.iter().flat_map(|part| part.edge_words()).collect();
    edges.sort_unstable();
    let at_center = parts.iter().filter(|part| part.is_center_inside).count();
    at_center % 2 == 1
        && edges
            .chunk_by(|a, b| a == b)
            .all(|same| same.len() % 2 == 0)
}

/// Whether an edge makes a difference among the probes of a cell.
fn is_among(edge: &Edge, (low, high): (Probe, Probe)) -> bool {
    let is_beside = |a: i32, b: i32, low: i64, high: i64| {
        i64::from(a.max(b)) << 1 < low || i64::from(a.min(b)) << 1 > high
    };
    if is_beside(edge.from.x, edge.to.x, low.x, high.x)
        || is_beside(edge.from.y, edge.to.y, low.y, high.y)
    {
        return false;
    }
    let corner = |x: i64, y: i64| edge.is_left(Probe { x, y });
    let first = corner(low.x, low.y);
    [
        corner(high.x, low.y),
        corner(high.x, high.y),
        corner(low.x, high.y),
    ]
    .iter()
    .any(|is_left| *is_left != first)
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

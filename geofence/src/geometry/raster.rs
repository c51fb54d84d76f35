//! Which shapes hold a point: a coverage raster with the boundary inline.
//!
//! Square cells of a power of two millimetres. A cell that one shape covers whole names it in its
//! head. One that a line divides between two shapes, or a shape and none, names that line
//! ([`Split`]). Other cells point at a record:
//!
//! ```text
//! word 0         number of shapes that cover the cell whole (low 16 bits), and partly (high 16)
//! then           the ids of the former
//! for each part  id; kind and length; the piece of the boundary that crosses the cell
//! ```
//!
//! For a polygon the piece is its edges that cross the cell, and whether the cell's centre is
//! inside. The way from a point to the centre by a corner, upright and then level, stays in the
//! cell, so the edges of the cell are all that it can cross. A last polygon without edges is inside
//! where an even number of the others is: the cell has no gap.

mod build;
mod few;
mod split;

use self::{
    build::{Cover, Frame},
    few::Few,
    split::{NONE, Split},
};
use std::hint::black_box;

use super::{
    Bounds, Point, Shape,
    shape::{Edge, Probe, is_within_capsule, is_within_circle},
};

/// An immutable index of shapes. Shapes are known by their place in the list it was built from.
#[derive(Clone, Debug)]
pub struct Raster {
    origin: Point,
    /// Cells are `2^shift` millimetres wide.
    shift: u32,
    columns: u32,
    rows: u32,
    tile_columns: u32,
    /// The heads of the cells: 0 for nothing, [`WHOLE`] with an id, [`SPLIT`] with a place in
    /// `splits`, or where its record begins in `words`.
    tiles: Vec<Tile>,
    splits: Vec<Split>,
    words: Vec<u32>,
}

/// The heads of a square of cells, row by row: a line of the cache. Whoever moves on finds the next
/// head in the same one, whichever way he goes.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Tile([u32; (TILE * TILE) as usize]);

/// Cells on a side of a tile.
const TILE: u32 = 4;

/// Marks a head that names the only shape, which covers the whole cell.
const WHOLE: u32 = 1 << 31;
/// Marks a head of a cell that a line divides.
const SPLIT: u32 = 1 << 30;

/// The cell of a point where no shape is.
const NOWHERE: u32 = u32::MAX;

/// Words of a line of the cache.
const LINE_WORDS: usize = 16;

/// Points that are looked up together.
const BATCH: usize = 64;

const POLYGON: u32 = 0;
const CIRCLE: u32 = 1;
const CORRIDOR: u32 = 2;
/// Words of an edge or segment.
const EDGE_WORDS: usize = 4;
/// Words of a part of a record before its boundary, with a share of the head of the record.
const PART_WORDS: usize = 3;

impl Raster {
    /// Cells of 16.4 m: unit grids.
    pub const FINE: u32 = 14;
    /// Cells of 32.8 m: fences.
    pub const COARSE: u32 = 15;

    /// No more cells than this: 64 MiB of heads. Cells grow until they fit.
    pub(crate) const CELLS_MAX: u64 = 1 << 24;

    /// Builds the index of these shapes with cells of `2^shift` mm, or larger ones where the
    /// shapes lie too far apart for so many cells.
    #[must_use]
    pub fn build<'a>(shapes: impl Iterator<Item = &'a Shape> + Clone, shift: u32) -> Self {
        Self::within(shapes, shift, Self::CELLS_MAX)
    }

    /// The same with no more than so many cells.
    pub(crate) fn within<'a>(
        shapes: impl Iterator<Item = &'a Shape> + Clone,
        shift: u32,
        cells_max: u64,
    ) -> Self {
        let mut frame = Frame::about(shapes.clone(), shift);
        while frame.is_too_large(shapes.clone(), cells_max) && frame.shift < 30 {
            frame = Frame::about(shapes.clone(), frame.shift + 1);
        }
        let mut covers: Vec<Cover> = Vec::new();
        for (id, shape) in (0_u32..).zip(shapes) {
            frame.cover(id, shape, &mut covers);
        }
        covers.sort_unstable_by_key(|cover| (cover.cell, cover.shape));
        frame.pack(&covers)
    }

    /// How many bytes of the memory it takes.
    pub(crate) const fn heap_bytes(&self) -> usize {
        self.tiles.len() * size_of::<Tile>()
            + self.splits.len() * size_of::<Split>()
            + self.words.len() * size_of::<u32>()
    }

    /// About how many bytes the heads of the cells take about these bounds, when there are no more
    /// than so many.
    pub(crate) fn head_bytes(bounds: Bounds, shift: u32, cells_max: u64) -> usize {
        let mut sizes = (shift..30).map(|shift| build::cells_about(bounds, shift));
        let cells = sizes.find(|cells| *cells <= cells_max);
        let cells = cells.unwrap_or(cells_max);
        usize::try_from(cells).unwrap_or(usize::MAX) * size_of::<u32>()
    }

    /// About how many bytes the boundary of a shape takes beside the heads. A cell that it crosses has
    /// the head of a record, and what crosses it.
    pub(crate) fn boundary_bytes(shape: &Shape, shift: u32) -> usize {
        let crossed = |length: u64| usize::try_from(length >> shift).unwrap_or(usize::MAX);
        let along =
            |a: Point, b: Point| u64::from(a.x.abs_diff(b.x)) + u64::from(a.y.abs_diff(b.y));
        let words = match shape {
            Shape::Polygon(polygon) => {
                let edges = &polygon.edges;
                let length = edges.iter().map(|edge| along(edge.from, edge.to)).sum();
                (PART_WORDS + EDGE_WORDS) * crossed(length) + EDGE_WORDS * edges.len()
            }
            Shape::Circle { radius, .. } => {
                (PART_WORDS + EDGE_WORDS) * crossed(8 * u64::from(radius.unsigned_abs()))
            }
            Shape::Corridor { line, half_width } => {
                let pairs = line.iter().zip(line.iter().skip(1));
                let length: u64 = pairs.map(|(a, b)| along(*a, *b)).sum();
                let length = 2 * length + 8 * u64::from(half_width.unsigned_abs());
                (PART_WORDS + 2 * EDGE_WORDS) * crossed(length) + EDGE_WORDS * line.len()
            }
        };
        words * size_of::<u32>()
    }

    /// Gives the id of every shape that holds the point, in no promised order.
    pub fn for_each(&self, point: Point, mut found: impl FnMut(u32)) {
        _ = self.at(point, |id| {
            found(id);
            false
        });
    }

    /// The id of a shape that holds the point, where no two do.
    #[must_use]
    pub fn first(&self, point: Point) -> Option<u32> {
        self.at(point, |_| true)
    }

    #[inline]
    fn at(&self, point: Point, mut found: impl FnMut(u32) -> bool) -> Option<u32> {
        let head = self.head(self.cell(point));
        if head & WHOLE != 0 {
            let id = head & !WHOLE;
            return found(id).then_some(id);
        }
        if head & SPLIT != 0 {
            let id = self.split(head).at(Probe::at(point));
            return (id != NONE && found(id)).then_some(id);
        }
        if head == 0 {
            return None;
        }
        self.search(head, point, found)
    }

    /// Gives, for each point of a list by its place there, the id of a shape that holds it, where no
    /// two do; in no promised order. The same as [`Self::first`], in less time.
    pub fn first_of_each(&self, points: &[Point], mut found: impl FnMut(usize, u32)) {
        self.batches(points, |place, id| {
            found(place, id);
            true
        });
    }

    /// Gives, for each point of a list by its place there, the id of every shape that holds it; in no
    /// promised order. The same as [`Self::for_each`], in less time.
    pub fn for_each_of_each(&self, points: &[Point], mut found: impl FnMut(usize, u32)) {
        self.batches(points, |place, id| {
            found(place, id);
            false
        });
    }

    /// Points are taken [`BATCH`] at a time, in passes: what one point waits for from memory is on its
    /// way for all of them, and what is done for all of them is done without a guess.
    fn batches(&self, points: &[Point], mut found: impl FnMut(usize, u32) -> bool) {
        for (start, batch) in (0..).step_by(BATCH).zip(points.chunks(BATCH)) {
            // The passes that load do nothing else, so that the loads of many points run at once.
            let mut cells = [NOWHERE; BATCH];
            for (cell, point) in cells.iter_mut().zip(batch) {
                *cell = self.cell(*point);
            }
            let heads = cells.map(|cell| self.head(cell));
            let (mut wholes, mut splits, mut records) = (Few::new(), Few::new(), Few::new());
            for (place, head) in (0..).zip(&heads) {
                let (is_whole, is_split) = (head & WHOLE != 0, head & SPLIT != 0);
                wholes.push_if(place, is_whole);
                splits.push_if(place, is_split & !is_whole);
                records.push_if(place, !is_whole & !is_split & (*head != 0));
            }
            let mut lines = [Split::NOTHING; BATCH];
            for (line, place) in lines.iter_mut().zip(splits.places()) {
                if let Some(head) = heads.get(place) {
                    *line = self.split(*head);
                }
            }
            // Only to have them near; a record seldom ends in its first line of the cache.
            let mut touched = 0;
            for place in records.places() {
                let at = heads.get(place).map_or(0, |head| *head as usize);
                touched |= self.words.get(at).copied().unwrap_or(0);
                touched |= self.words.get(at + LINE_WORDS).copied().unwrap_or(0);
            }
            black_box(touched);
            for place in wholes.places() {
                if let Some(head) = heads.get(place) {
                    _ = found(start + place, head & !WHOLE);
                }
            }
            for (line, place) in lines.iter().zip(splits.places()) {
                let id = batch
                    .get(place)
                    .map_or(NONE, |point| line.at(Probe::at(*point)));
                if id != NONE {
                    _ = found(start + place, id);
                }
            }
            for place in records.places() {
                if let (Some(head), Some(point)) = (heads.get(place), batch.get(place)) {
                    _ = self.search(*head, *point, |id| found(start + place, id));
                }
            }
        }
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.tiles.len() * size_of::<Tile>()
            + self.splits.len() * size_of::<Split>()
            + self.words.len() * size_of::<u32>()
    }

    /// The number of the cell of a point, or [`NOWHERE`].
    #[inline]
    fn cell(&self, point: Point) -> u32 {
        let step =
            |value: i32, origin: i32| value.wrapping_sub(origin).cast_unsigned() >> self.shift;
        let (column, row) = (step(point.x, self.origin.x), step(point.y, self.origin.y));
        let is_on = (point.x >= self.origin.x)
            & (point.y >= self.origin.y)
            & (column < self.columns)
            & (row < self.rows);
        let cell = cell(column, row, self.tile_columns);
        if is_on { cell } else { NOWHERE }
    }

    #[inline]
    fn head(&self, cell: u32) -> u32 {
        let tile = self.tiles.get((cell / (TILE * TILE)) as usize);
        let place = (cell % (TILE * TILE)) as usize;
        tile.and_then(|tile| tile.0.get(place))
            .copied()
            .unwrap_or(0)
    }

    #[inline]
    fn split(&self, head: u32) -> Split {
        let split = self.splits.get((head & !SPLIT) as usize);
        split.copied().unwrap_or(Split::NOTHING)
    }

    /// Walks a record until `found` says that it is enough.
    fn search(&self, head: u32, point: Point, mut found: impl FnMut(u32) -> bool) -> Option<u32> {
        let record = self.words.get(head as usize..)?;
        let (counts, rest) = record.split_first()?;
        let (whole, mut rest) = rest.split_at_checked((counts & 0xFFFF) as usize)?;
        for id in whole {
            if found(*id) {
                return Some(*id);
            }
        }
        let probe = Probe::at(point);
        let mask = (1 << self.shift) - 1;
        let center = |value: i32, origin: i32| ((value - origin) & !mask) + origin + (mask >> 1);
        let center = Probe::at(Point {
            x: center(point.x, self.origin.x),
            y: center(point.y, self.origin.y),
        });
        let mut is_odd = false;
        for _ in 0..counts >> 16 {
            let [id, meta, after @ ..] = rest else {
                return None;
            };
            let (length, kind) = ((meta >> 3) as usize, (meta >> 1) & 3);
            let (boundary, after) = after.split_at_checked(length)?;
            rest = after;
            let is_inside = match kind {
                // Without a boundary: the rest of a cell without a gap.
                POLYGON if length == 0 => !is_odd,
                POLYGON => (meta & 1 == 1) ^ crosses(boundary, probe, center),
                CIRCLE => matches!(
                    *boundary,
                    [x, y, radius] if is_within_circle(point, at(x, y), radius.cast_signed())
                ),
                _ => boundary.split_first().is_some_and(|(half_width, segments)| {
                    segments.chunks_exact(EDGE_WORDS).any(|words| {
                        matches!(*words, [ax, ay, bx, by]
                            if is_within_capsule(point, at(ax, ay), at(bx, by), half_width.cast_signed()))
                    })
                }),
            };
            is_odd ^= is_inside;
            if is_inside && found(*id) {
                return Some(*id);
            }
        }
        None
    }
}

/// The number of a cell: tile by tile.
const fn cell(column: u32, row: u32, tile_columns: u32) -> u32 {
    let tile = (row / TILE)
        .wrapping_mul(tile_columns)
        .wrapping_add(column / TILE);
    tile.wrapping_mul(TILE * TILE)
        .wrapping_add((row % TILE) * TILE + column % TILE)
}

fn at(x: u32, y: u32) -> Point {
    Point {
        x: x.cast_signed(),
        y: y.cast_signed(),
    }
}

/// Whether the way from the point to the centre crosses an odd number of edges.
fn crosses(edges: &[u32], probe: Probe, center: Probe) -> bool {
    let corner = Probe {
        x: probe.x,
        y: center.y,
    };
    edges.chunks_exact(EDGE_WORDS).fold(false, |odd, words| {
        let [ax, ay, bx, by] = *words else { return odd };
        let edge = Edge {
            from: at(ax, ay),
            to: at(bx, by),
        };
        let is_corner_left = edge.is_left(corner);
        // No short cuts: a wrong guess costs more than all of it.
        odd ^ (edge.spans_x(probe.x) & (edge.is_left(probe) != is_corner_left))
            ^ (edge.spans_y(center.y) & (is_corner_left != edge.is_left(center)))
    })
}

#[cfg(test)]
mod tests;

//! Streets: a graph, roughly orthogonal, with a river that few of them cross.
#![expect(
    clippy::indexing_slicing,
    reason = "indices are of this graph's own nodes and edges"
)]

use std::collections::{BinaryHeap, HashMap, VecDeque};

use super::{Fence, FenceKind, Fleet, SAFETY_MARGIN_M, lattice_meters};
use crate::{plane::Point, random::Random};

/// Metres between parallel streets.
const SPACING_M: f64 = 250.0;
/// Metres that a crossing may lie off the lattice, on each axis.
const JITTER_M: f64 = 20.0;

/// A stretch of street between two crossings, passable both ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// One end.
    pub a: usize,
    /// The other.
    pub b: usize,
    /// Metres.
    pub length_m: f64,
    /// The lowest limit of the speed zones that it touches or comes near to, km/h.
    pub limit_kmh: Option<f64>,
    /// The keep-out fences that it enters or comes near to (indices of fences).
    pub keep_out_near: Vec<usize>,
    /// The fleet whose vehicles can use it without breaking a rule.
    pub safe_for: Option<usize>,
}

impl Edge {
    /// The end that is not `node`.
    #[must_use]
    pub const fn other(&self, node: usize) -> usize {
        if self.a == node { self.b } else { self.a }
    }
}

/// The streets of a city.
#[derive(Clone, Debug, Default)]
pub struct Network {
    /// Crossings.
    pub nodes: Vec<Point>,
    /// Stretches between them.
    pub edges: Vec<Edge>,
    /// The edges at each node.
    at_node: Vec<Vec<usize>>,
}

impl Network {
    /// The edges at a node.
    pub fn edges_at(&self, node: usize) -> impl Iterator<Item = &Edge> + '_ {
        self.at_node
            .get(node)
            .into_iter()
            .flatten()
            .map(|edge| &self.edges[*edge])
    }

    /// The edge between two neighbours.
    #[must_use]
    pub fn edge(&self, from: usize, to: usize) -> Option<&Edge> {
        self.edges_at(from).find(|edge| edge.other(from) == to)
    }

    /// The nodes where a fleet's vehicles can be without breaking a rule.
    #[must_use]
    pub fn safe_nodes(&self, fleet: usize) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|node| {
                self.edges_at(*node)
                    .any(|edge| edge.safe_for == Some(fleet))
            })
            .collect()
    }

    /// The shortest way over edges that `may_use` allows, without the start, with the goal; the
    /// goal is the first node for which `is_goal` holds. `None` when there is no way.
    pub fn path(
        &self,
        from: usize,
        is_goal: impl Fn(usize) -> bool,
        may_use: impl Fn(&Edge) -> bool,
    ) -> Option<VecDeque<usize>> {
        // Decimetres as integers, so that the heap has a total order.
        let mut best: HashMap<usize, (u64, usize)> = HashMap::from([(from, (0, from))]);
        let mut heap = BinaryHeap::from([(std::cmp::Reverse(0_u64), from)]);
        while let Some((std::cmp::Reverse(cost), node)) = heap.pop() {
            if is_goal(node) {
                let mut path = VecDeque::new();
                let mut at = node;
                while at != from {
                    path.push_front(at);
                    at = best.get(&at)?.1;
                }
                return Some(path);
            }
            if best.get(&node).is_some_and(|(known, _)| *known < cost) {
                continue;
            }
            for edge in self.edges_at(node).filter(|edge| may_use(edge)) {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a length in a city, positive"
                )]
                let next_cost = cost + (edge.length_m * 10.0) as u64;
                let next = edge.other(node);
                if best.get(&next).is_none_or(|(known, _)| next_cost < *known) {
                    best.insert(next, (next_cost, node));
                    heap.push((std::cmp::Reverse(next_cost), next));
                }
            }
        }
        None
    }

    /// Learns which edges are near which fence, and which are safe for whom.
    pub(super) fn relate(&mut self, fences: &[Fence], fleets: &[Fleet]) {
        let nodes = &self.nodes;
        for edge in &mut self.edges {
            let (from, to) = (nodes[edge.a], nodes[edge.b]);
            let middle = from.towards(to, 0.5);
            for (index, fence) in fences.iter().enumerate() {
                let (center, radius) = fence.shape.bounding_circle();
                if middle.distance(center) > radius + edge.length_m / 2.0 + SAFETY_MARGIN_M {
                    continue;
                }
                let (least, greatest) = fence.shape.signed_distance_along(from, to);
                match fence.kind {
                    FenceKind::KeepOut if greatest > -SAFETY_MARGIN_M => {
                        edge.keep_out_near.push(index);
                    }
                    FenceKind::SpeedLimit if greatest > -SAFETY_MARGIN_M => {
                        let limit = fence.speed_limit_kmh.unwrap_or(f64::INFINITY);
                        edge.limit_kmh = Some(edge.limit_kmh.unwrap_or(limit).min(limit));
                    }
                    FenceKind::StayIn if least >= SAFETY_MARGIN_M => {
                        edge.safe_for = fleets.iter().position(|fleet| fleet.duty_area == index);
                    }
                    _ => {}
                }
            }
            if !edge.keep_out_near.is_empty() {
                edge.safe_for = None;
            }
        }
        for fleet in 0..fleets.len() {
            self.keep_largest_component(fleet);
        }
    }

    /// Leaves a fleet only the largest part that hangs together.
    fn keep_largest_component(&mut self, fleet: usize) {
        let mut component = vec![None; self.nodes.len()];
        let mut sizes = Vec::new();
        for start in self.safe_nodes(fleet) {
            if component[start].is_some() {
                continue;
            }
            let label = sizes.len();
            let mut size = 0_usize;
            let mut open = vec![start];
            component[start] = Some(label);
            while let Some(node) = open.pop() {
                size += 1;
                for edge in self
                    .edges_at(node)
                    .filter(|edge| edge.safe_for == Some(fleet))
                {
                    let next = edge.other(node);
                    if component[next].is_none() {
                        component[next] = Some(label);
                        open.push(next);
                    }
                }
            }
            sizes.push(size);
        }
        let largest = (0..sizes.len()).max_by_key(|label| sizes[*label]);
        for edge in &mut self.edges {
            if edge.safe_for == Some(fleet) && component[edge.a] != largest {
                edge.safe_for = None;
            }
        }
    }
}

/// Lays the streets of a city of this many unit grids.
pub(super) fn streets(columns: u32, rows: u32, random: &mut Random) -> Network {
    let across = positions(lattice_meters(columns, columns));
    let along = positions(lattice_meters(rows, rows));
    let mut network = Network::default();
    for y in &along {
        for x in &across {
            let mut jitter = || random.between(-JITTER_M, JITTER_M);
            network.nodes.push(Point::new(x + jitter(), y + jitter()));
        }
    }
    network.at_node = vec![Vec::new(); network.nodes.len()];
    let width = across.len();
    for row in 0..along.len() {
        for column in 0..width {
            let node = row * width + column;
            if column + 1 < width {
                // The river runs through the middle; every fourth street has a bridge.
                let crosses_river = (across[column] < 0.0) != (across[column + 1] < 0.0);
                let is_missing = if crosses_river {
                    row % 4 != 2
                } else {
                    random.chance(0.04)
                };
                if !is_missing {
                    join(&mut network, node, node + 1);
                }
            }
            if row + 1 < along.len() && !random.chance(0.04) {
                join(&mut network, node, node + width);
            }
        }
    }
    network
}

/// Where streets run, in metres: symmetric about 0, none on it, none beyond the city's edge.
fn positions(half_m: f64) -> Vec<f64> {
    let mut positions = Vec::new();
    let mut at = SPACING_M / 2.0;
    while at < half_m - 2.0 * JITTER_M {
        positions.push(at);
        positions.insert(0, -at);
        at += SPACING_M;
    }
    positions
}

fn join(network: &mut Network, a: usize, b: usize) {
    let length_m = network.nodes[a].distance(network.nodes[b]);
    let index = network.edges.len();
    network.edges.push(Edge {
        a,
        b,
        length_m,
        limit_kmh: None,
        keep_out_near: Vec::new(),
        safe_for: None,
    });
    network.at_node[a].push(index);
    network.at_node[b].push(index);
}

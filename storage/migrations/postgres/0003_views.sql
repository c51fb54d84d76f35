CREATE VIEW gridtrace.positions_in_degrees AS
SELECT t.phone, p.fixed_at, p.latitude / 1e6::float8 AS latitude,
       p.longitude / 1e6::float8 AS longitude, p.speed_dkmh / 10.0 AS speed_kmh, p.heading_deg,
       p.is_positioned, p.unit_grid
FROM gridtrace.positions p JOIN gridtrace.terminals t ON t.id = p.terminal;

CREATE VIEW gridtrace.latest_in_degrees AS
SELECT t.phone, p.fixed_at, p.latitude / 1e6::float8 AS latitude,
       p.longitude / 1e6::float8 AS longitude, p.speed_dkmh / 10.0 AS speed_kmh, p.heading_deg,
       p.is_positioned, p.unit_grid
FROM gridtrace.latest p JOIN gridtrace.terminals t ON t.id = p.terminal;

-- What reports add up: an hour of a terminal, an hour of a unit grid. {view}, {hour}, {first} and
-- {last} are filled in by schema.rs. Where TimescaleDB's full licence is, these are continuous
-- aggregates, which keep the sums and follow late rows; else ordinary views, which add up when they
-- are asked. Names and columns are the same.
--
-- What sums of an hour can say, and what not:
-- * Distance comes from the odometer. An hour knows what lies between its first and its last fix,
--   not the way to the next hour's first one: over a longer time take the last reading of the last
--   hour less the first of the first. A terminal without an odometer sends 0, which is left out.
-- * Time at a speed would need the gaps between fixes, which no sum has. There are counts of fixes
--   by speed instead: as shares of the time between first and last fix, as good as the fixes are
--   regular.
--
-- An ordinary view of partitions reads all of them, whatever hours are asked for: a bound for
-- fixed_at belongs into a query of its own there.
CREATE {view} gridtrace.terminal_hours {options} AS
SELECT terminal,
       {hour} AS hour,
       count(*) AS positions,
       count(*) FILTER (WHERE is_positioned) AS positioned,
       min(fixed_at) AS first_fixed_at,
       max(fixed_at) AS last_fixed_at,
       count(*) FILTER (WHERE speed_dkmh < 30) AS standing,                       -- below 3 km/h
       count(*) FILTER (WHERE speed_dkmh >= 30 AND speed_dkmh < 200) AS slow,     -- at work
       count(*) FILTER (WHERE speed_dkmh >= 200 AND speed_dkmh < 400) AS driving,
       count(*) FILTER (WHERE speed_dkmh >= 400) AS fast,
       max(speed_dkmh) AS speed_max_dkmh,
       {first} AS odometer_first_dkm,
       {last} AS odometer_last_dkm,
       min(odometer_dkm) FILTER (WHERE odometer_dkm > 0) AS odometer_min_dkm,
       max(odometer_dkm) FILTER (WHERE odometer_dkm > 0) AS odometer_max_dkm
FROM gridtrace.positions
GROUP BY 1, 2 {no_data};

CREATE {view} gridtrace.unit_grid_hours {options} AS
SELECT unit_grid,
       {hour} AS hour,
       count(*) AS positions,
       count(DISTINCT terminal) AS terminals,
       min(fixed_at) AS first_fixed_at,
       max(fixed_at) AS last_fixed_at
FROM gridtrace.positions
WHERE unit_grid IS NOT NULL
GROUP BY 1, 2 {no_data};

-- For people. driven_m is unknown where the odometer ran backwards: a terminal was exchanged.
CREATE VIEW gridtrace.terminal_hours_by_phone AS
SELECT t.phone, h.hour, h.positions, h.positioned, h.first_fixed_at, h.last_fixed_at,
       h.standing, h.slow, h.driving, h.fast, h.speed_max_dkmh / 10.0 AS speed_max_kmh,
       CASE WHEN h.odometer_first_dkm = h.odometer_min_dkm
             AND h.odometer_last_dkm = h.odometer_max_dkm
            THEN (h.odometer_last_dkm - h.odometer_first_dkm) * 100 END AS driven_m
FROM gridtrace.terminal_hours h JOIN gridtrace.terminals t ON t.id = h.terminal;

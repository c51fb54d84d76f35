//! The same tests on every store: embedded, plain PostgreSQL, TimescaleDB, and the one in memory.
//!
//! One function for each behaviour; [`on_every_store`] makes four tests of it. What only one kind
//! of store can go wrong with stands in `conclusions.rs`, `embedded_only.rs`, `postgres_only.rs`,
//! `reading.rs`, `resends.rs` and `timescale_only.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic"
)]

mod cases;
mod conclusions;
mod desk;
mod embedded_only;
mod evaluation;
mod migrations;
mod outbox;
mod paging;
mod positions;
mod postgres_only;
mod reading;
mod resends;
mod retention;
mod search;
mod setup;
mod snapshots;
mod timescale_only;
mod transfer;

/// Runs functions of a module on a new, empty store of each kind.
macro_rules! on_every_store {
    ($($module:ident: $($name:ident),+;)+) => {
        on_every_store!(@ memory; $($module: $($name),+;)+);
        on_every_store!(@ embedded; $($module: $($name),+;)+);
        on_every_store!(@ postgres; $($module: $($name),+;)+);
        on_every_store!(@ timescale; $($module: $($name),+;)+);
    };
    (@ $kind:ident; $($module:ident: $($name:ident),+;)+) => {
        mod $kind {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(subject) = crate::setup::$kind().await {
                        crate::$module::$name(&subject).await;
                    }
                })+
            })+
        }
    };
}

on_every_store! {
    positions:
        a_position_written_twice_is_one_row,
        duplicates_within_a_batch_are_one_row,
        a_row_comes_back_as_it_was_written,
        two_reports_of_the_same_second_are_two_rows,
        backlog_does_not_move_the_latest_position,
        latest_positions_are_paged_by_terminal,
        the_cursor_moves_with_the_rows,
        cursors_of_other_logs_and_consumers_are_apart,
        a_batch_over_many_days_is_written_whole,
        quarantine_keeps_each_report_once,
        a_fix_in_no_possible_year_goes_to_quarantine,
        the_counts_of_a_batch_add_up;
    paging:
        pages_of_positions_have_no_gaps_and_no_repeats,
        a_box_has_what_lies_in_it_and_on_its_edge,
        pages_of_cases_have_no_gaps_and_no_repeats;
    cases:
        a_case_opens_once,
        a_replay_changes_nothing_and_tells_nothing,
        an_update_keeps_stage_and_opening,
        an_update_of_an_unknown_violation_opens_its_case,
        a_withdrawn_case_keeps_its_history,
        a_case_found_again_is_collected_again,
        snapshots_replace_older_ones_together_with_the_cursor,
        jurisdictions_are_prefixes_of_the_unit_grid,
        cases_are_counted_by_stage,
        texts_that_a_database_refuses_are_kept_readable;
    desk:
        of_two_who_saw_the_same_version_one_moves_the_case,
        what_was_done_under_a_key_is_not_done_again,
        a_refused_move_changes_nothing,
        merged_cases_share_what_comes_later,
        a_split_case_goes_its_own_way,
        a_case_by_hand_has_no_violation_and_opens_once,
        clocks_are_told_once_and_the_overdue_are_found,
        violations_of_a_group_are_one_case_also_in_a_replay,
        cases_that_late_data_joins_are_merged_unless_a_person_acted,
        a_kind_that_opens_no_case_opens_none,
        cases_are_found_by_what_they_say;
    search:
        cases_are_found_by_number_vehicle_and_word,
        what_a_case_no_longer_says_is_not_found,
        days_begin_at_local_midnight;
    evaluation:
        figures_say_what_happened_in_each_period,
        a_month_that_is_over_stays_as_it_was,
        subjects_are_told_apart_and_jurisdictions_kept,
        every_figure_opens_into_as_many_cases_as_it_says,
        what_terminals_did_is_told_by_day;
    retention:
        days_that_are_over_go_and_the_rest_stays,
        what_is_kept_for_ever_stays,
        a_day_that_went_can_come_again_and_goes_again,
        reports_in_quarantine_go_by_their_receipt,
        cases_keep_their_evidence;
    transfer:
        what_a_store_had_another_one_takes_over_and_gives_again,
        an_import_does_not_put_an_older_position_before_a_newer_one,
        cursors_of_an_import_replace_and_end_others,
        positions_are_counted_within_a_range;
    outbox:
        each_change_of_a_case_is_one_event,
        events_that_nobody_wants_go_at_once,
        of_a_case_only_the_earliest_is_due,
        attempts_that_ended_together_are_noted_in_their_order,
        a_dead_delivery_lets_the_next_one_go_and_can_come_again,
        changes_that_wait_give_way_to_later_ones,
        pages_of_deliveries_have_no_gaps,
        a_callback_is_noted_once,
        what_is_over_goes_and_the_rest_stays,
        another_store_takes_it_over_and_goes_on;
}

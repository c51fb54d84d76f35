//! The metrics of inspectors.

/// As [`super::METRICS`].
pub(super) const METRICS: &[(&str, &str)] = &[
    (
        "task_answers_total",
        "Answers to tasks of inspectors, by result.",
    ),
    (
        "task_messages_total",
        "Tasks for terminals of inspectors, by result.",
    ),
    (
        "tasks_overdue",
        "Tasks of inspectors that wait for longer than their clocks allow, by kind; of the 5,000 oldest overdue cases of a stage.",
    ),
    (
        "inspector_reports_total",
        "Reports of inspectors' terminals, by kind or by what they were instead.",
    ),
];

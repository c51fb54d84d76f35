use super::*;

#[test]
fn the_document_lists_exactly_the_metrics_that_exist() {
    let document = include_str!("../../docs/metrics.md");
    let listed: Vec<&str> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| `gridtrace_"))
        .filter_map(|rest| rest.split('`').next())
        .collect();
    let declared: Vec<&str> = declared().map(|(name, _)| *name).collect();
    assert_eq!(listed, declared);
}

#[test]
fn names_follow_the_exporters_rules() {
    for (name, help) in declared() {
        assert!(
            name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
            "{name}"
        );
        assert!(help.ends_with('.'), "{name}");
    }
}

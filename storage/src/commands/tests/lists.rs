//! Lists of commands, page by page.

use super::*;

#[test]
fn lists_are_paged_newest_first_and_filtered() {
    let queue = Queue::new(CommandLimits::default());
    for n in 0..7 {
        queue.put(&text(if n % 2 == 0 { "1" } else { "2" }, &n.to_string()));
    }
    let contents = |query: &CommandQuery| -> Vec<String> {
        let page = queue.commands.list(query).unwrap();
        page.into_iter().map(|command| command.content).collect()
    };
    let mut query = CommandQuery {
        terminal: Some("1".parse().unwrap()),
        limit: 3,
        ..CommandQuery::default()
    };
    assert_eq!(contents(&query), ["6", "4", "2"]);
    query.before = Some(queue.commands.list(&query).unwrap()[2].number);
    assert_eq!(contents(&query), ["0"]);
    let first = queue.commands.list(&query).unwrap()[0].id;
    queue.change(first, 2_000, Change::Cancelled { by: None });
    let mut query = CommandQuery {
        states: vec![CommandState::Cancelled, CommandState::Failed],
        limit: 10,
        ..CommandQuery::default()
    };
    assert_eq!(contents(&query), ["0"]);
    query.states = vec![CommandState::Queued];
    assert_eq!(contents(&query), ["6", "5", "4", "3", "2", "1"]);
}

#[test]
fn a_page_of_large_contents_is_a_short_one() {
    let queue = Queue::new(CommandLimits::default());
    let large = format!("{:?}", "x".repeat(1_000_000));
    for _ in 0..6 {
        queue.put(&text("1", &large));
    }
    let query = CommandQuery {
        limit: 100,
        ..CommandQuery::default()
    };
    assert_eq!(queue.commands.list(&query).unwrap().len(), 5);
    assert_eq!(queue.commands.open_commands().unwrap().len(), 6);
}

#[test]
fn every_filter_gives_what_looking_at_each_command_gives() {
    let queue = Queue::new(CommandLimits::default());
    for n in 0..24 {
        let id = queue.put(&text(if n % 2 == 0 { "1" } else { "2" }, "1"));
        match n % 3 {
            0 => drop(queue.change(id, 2_000, Change::Cancelled { by: None })),
            1 => drop(queue.change(id, 2_000, failed_with("x"))),
            _ => {}
        }
    }
    let all = queue.commands.list(&CommandQuery {
        limit: 100,
        ..CommandQuery::default()
    });
    let all = all.unwrap();
    assert_eq!(all.len(), 24);
    use CommandState::{Cancelled, Failed, Queued};
    for terminal in [None, Some("1".parse().unwrap())] {
        for states in [vec![], vec![Failed], vec![Queued, Cancelled, Queued]] {
            for before in [None, Some(17)] {
                let query = CommandQuery {
                    terminal,
                    states: states.clone(),
                    before,
                    limit: 5,
                };
                let expected: Vec<_> = all
                    .iter()
                    .filter(|c| terminal.is_none_or(|terminal| c.terminal == terminal))
                    .filter(|c| states.is_empty() || states.contains(&c.state))
                    .filter(|c| before.is_none_or(|before| c.number < before))
                    .take(5)
                    .cloned()
                    .collect();
                assert_eq!(queue.commands.list(&query).unwrap(), expected, "{query:?}");
            }
        }
    }
}

#[test]
fn no_list_sorts_contents_or_walks_through_them() {
    let queue = Queue::new(CommandLimits::default());
    let inner = queue.commands.inner.lock();
    let terminal = Some("1".parse().unwrap());
    for (terminal, before) in [(None, None), (None, Some(7)), (terminal, None)] {
        let query = CommandQuery {
            terminal,
            states: vec![CommandState::Failed, CommandState::Expired],
            before,
            limit: 5,
        };
        let (sql, values) = rows::listed(&query);
        let plan: Vec<String> = inner
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap()
            .query_map(params_from_iter(values), |row| row.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let plan = plan.join("\n");
        assert!(plan.contains("SEARCH commands USING COVERING"), "{plan}");
        assert!(plan.contains("USING INTEGER PRIMARY KEY"), "{plan}");
        assert!(!plan.contains("SCAN commands"), "{plan}");
    }
}

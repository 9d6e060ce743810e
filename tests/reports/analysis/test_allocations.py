from reports.analysis.allocations import allocations


def test_policies_come_first_by_tokenizer_then_name_as_people_count(tokenizer, policy, allocator):
    records = [
        tokenizer(),
        allocator(),
        policy("rank 16"),
        policy("rank 8", seed=1),
        policy("rank 8", seed=0),
    ]
    expected = [
        ("elastic", "rank 8", 2),
        ("elastic", "rank 16", 1),
        ("elastic", "heuristics, png_size 6", 1),
    ]
    for order in (records, records[::-1]):
        found = allocations(order)
        assert [(o.tokenizer, o.system, len(o.group.records)) for o in found] == expected


def test_a_tokenizer_without_a_record_is_unknown(policy, failed, tokenizer):
    (one,) = allocations([policy(), failed(tokenizer())])
    assert (one.tokenizer, one.collapsed) == ("", 0)


def test_collapsed_policies_are_counted(policy):
    (one,) = allocations([policy(), policy(seed=1, collapsed=True)])
    assert one.collapsed == 1

"""Which test shows that a method of Django's ORM works on shards, or is refused by name?

One table for each kind of object that a project calls. A test is ``file::function`` or ``file::function[case]``, in
`tests/integration/orm`. `test_queryset_api.py` holds the tables against the Django that is running.
"""

from __future__ import annotations

from typing import Final

SINGLE: Final = "test_reads_single.py::test_one_shard_can_do_whatever_a_database_can"
MERGED: Final = "test_reads_merged.py::test_unordered_rows_of_all_shards"
ASYNC: Final = "test_reads_async.py::test_async_twins_on_one_shard"
ROW: Final = "test_reads_async.py::test_the_models_own_methods"
RELATED: Final = "test_relations.py::test_it_equals_one_database"
RELATED_ASYNC: Final = "test_relations.py::test_async_twins_of_related_managers"
PREFETCH: Final = "test_reads_related.py::test_prefetched_rows_are_those_of_one_database"
READING: Final = "test_reads_related.py::test_reading_a_relation_finds_rows_anywhere"
FETCH_MODES: Final = "test_reads_related.py::test_fetch_modes"

_READS: Final[dict[str, str]] = {
    "aaggregate": f"{ASYNC}[aaggregate]",
    "acontains": f"{ASYNC}[acontains]",
    "acount": f"{ASYNC}[acount]",
    "aearliest": f"{ASYNC}[aearliest]",
    "aexists": f"{ASYNC}[aexists]",
    "aexplain": "test_reads_async.py::test_async_explain",
    "afirst": f"{ASYNC}[afirst]",
    "aget": f"{ASYNC}[aget]",
    "aggregate": "test_reads_adversarial.py::test_an_aggregate_sees_all_that_its_expressions_read",
    "ain_bulk": f"{ASYNC}[ain_bulk]",
    "aiterator": f"{ASYNC}[aiterator]",
    "alast": f"{ASYNC}[alast]",
    "alatest": f"{ASYNC}[alatest]",
    "alias": f"{SINGLE}[aliased]",
    "all": f"{MERGED}[all]",
    "annotate": f"{MERGED}[annotated]",
    "complex_filter": f"{MERGED}[complex_filter]",
    "contains": f"{MERGED}[contains]",
    "count": "test_merge_groups.py::test_what_adds_up_asks_the_shards_alone",
    "dates": f"{SINGLE}[dates]",
    "datetimes": f"{SINGLE}[datetimes]",
    "db": "test_reads_async.py::test_managers_in_all_their_forms",
    "defer": f"{MERGED}[defer]",
    "difference": f"{SINGLE}[difference]",
    "distinct": "test_merge_groups.py::test_distinct_rows",
    "earliest": f"{SINGLE}[earliest]",
    "exclude": "test_reads_adversarial.py::test_conditions_from_which_no_shard_follows",
    "exists": f"{MERGED}[exists]",
    "explain": "test_reads_elsewhere.py::test_explain_shows_the_plan_of_every_shard",
    "extra": f"{MERGED}[extra]",
    "fetch_mode": FETCH_MODES,
    "filter": "test_reads_single.py::test_a_key_names_its_shard",
    "first": f"{SINGLE}[first]",
    "get": "test_reads_merged.py::test_get_without_a_key",
    "in_bulk": f"{MERGED}[in_bulk]",
    "intersection": f"{SINGLE}[intersection]",
    "iterator": f"{SINGLE}[iterator]",
    "last": f"{SINGLE}[last]",
    "latest": f"{SINGLE}[latest]",
    "none": "test_reads_single.py::test_what_cannot_match_asks_nobody[none]",
    "only": f"{MERGED}[only]",
    "order_by": "test_reads_merged.py::test_ordered_rows_of_all_shards",
    "prefetch_related": PREFETCH,
    "raw": "test_reads_elsewhere.py::test_raw_sql_of_a_sharded_table_needs_a_database",
    "reverse": f"{SINGLE}[reversed]",
    "select_for_update": f"{MERGED}[for_update]",
    "select_related": "test_reads_related.py::test_select_related_of_all_shards",
    "union": f"{SINGLE}[union]",
    "using": "test_reads_elsewhere.py::test_a_named_shard_gives_its_rows_alone",
    "values": f"{MERGED}[values]",
    "values_list": f"{MERGED}[values_list]",
}
_WRITES: Final[dict[str, str]] = {
    "abulk_create": "test_writes_bulk.py::test_async_twins",
    "abulk_update": "test_writes_bulk.py::test_async_twins",
    "acreate": "test_writes_save.py::test_async_twins_do_the_same",
    "aget_or_create": "test_writes_upsert.py::test_async_twins",
    "aupdate": "test_writes_update.py::test_async_twin",
    "aupdate_or_create": "test_writes_upsert.py::test_async_twins",
    "bulk_create": "test_writes_bulk.py::test_rows_of_many_shards_return_in_their_order_with_ids",
    "bulk_update": "test_writes_bulk.py::test_bulk_update_over_shards",
    "create": "test_writes_save.py::test_every_way_of_creating_puts_the_row_on_its_keys_shard",
    "get_or_create": "test_writes_upsert.py::test_it_equals_one_database",
    "update": "test_writes_update.py::test_it_equals_one_database",
    "update_or_create": "test_writes_upsert.py::test_it_equals_one_database",
}
#: What every related manager does in its own way.
_RELATED_WRITES: Final[dict[str, str]] = {
    "aadd": RELATED_ASYNC,
    "acreate": RELATED_ASYNC,
    "aget_or_create": "test_writes_upsert.py::test_async_twins",
    "aset": RELATED_ASYNC,
    "aupdate_or_create": "test_writes_upsert.py::test_async_twins",
    "aclear": RELATED_ASYNC,
    "aremove": RELATED_ASYNC,
}

COVERED: Final[dict[str, dict[str, str]]] = {
    "QuerySet": {
        **_READS,
        **_WRITES,
        "adelete": "test_writes_delete.py::test_async_twins",
        "as_manager": "test_reads_async.py::test_managers_in_all_their_forms",
        "delete": "test_writes_delete.py::test_it_equals_one_database",
        "ordered": "test_reads_async.py::test_what_a_queryset_says_of_itself",
        "query": "test_reads_async.py::test_querysets_and_queries_survive_pickling",
        "resolve_expression": f"{SINGLE}[subquery_of_parents]",
        "totally_ordered": "test_reads_async.py::test_what_a_queryset_says_of_itself",
    },
    "Manager": {
        **_READS,
        **_WRITES,
        "check": "test_reads_async.py::test_managers_in_all_their_forms",
        "contribute_to_class": "test_reads_async.py::test_managers_in_all_their_forms",
        "db_manager": "test_reads_async.py::test_managers_in_all_their_forms",
        "deconstruct": "test_reads_async.py::test_managers_in_all_their_forms",
        "from_queryset": "test_reads_async.py::test_managers_in_all_their_forms",
        "get_queryset": "test_reads_async.py::test_managers_in_all_their_forms",
    },
    "Model": {
        "adelete": "test_writes_save.py::test_async_save_refresh_and_delete_of_a_saved_row",
        "arefresh_from_db": "test_writes_save.py::test_async_save_refresh_and_delete_of_a_saved_row",
        "asave": "test_writes_save.py::test_async_twins_do_the_same",
        "check": f"{ROW}[check]",
        "clean": f"{ROW}[clean]",
        "clean_fields": f"{ROW}[clean_fields]",
        "date_error_message": f"{ROW}[date_error_message]",
        "delete": "test_writes_delete.py::test_it_equals_one_database[an instance]",
        "from_db": "test_reads_async.py::test_a_row_is_read_as_a_row_of_default",
        "full_clean": f"{ROW}[full_clean]",
        "get_constraints": f"{ROW}[get_constraints]",
        "get_deferred_fields": f"{ROW}[get_deferred_fields]",
        "get_next_by_created": "test_reads_related.py::test_neighbours_by_date",
        "get_previous_by_created": ("test_reads_related.py::test_neighbours_by_date"),
        "pk": f"{ROW}[pk]",
        "prepare_database_save": f"{ROW}[prepare_database_save]",
        "refresh_from_db": "test_reads_related.py::test_refresh_asks_the_rows_own_shard_once",
        "save": "test_writes_save.py::test_a_saved_row_is_updated_where_it_is",
        "save_base": "test_reads_async.py::test_a_row_saved_as_loaddata_does",
        "serializable_value": f"{ROW}[serializable_value]",
        "unique_error_message": f"{ROW}[unique_error_message]",
        "validate_constraints": "test_reads_async.py::test_unique_constraints_are_validated_on_the_keys_shard",
        "validate_unique": "test_reads_async.py::test_unique_fields_are_validated_over_all_shards",
    },
    "reverse foreign key": {
        **_RELATED_WRITES,
        "add": f"{RELATED}[add of another key]",
        "clear": f"{RELATED}[clear of a global row]",
        "create": f"{RELATED}[create from a global row]",
        "get_or_create": "test_writes_upsert.py::test_it_equals_one_database[create, of the reverse side]",
        "get_prefetch_querysets": f"{PREFETCH}[backward]",
        "get_queryset": f"{READING}[shipments_anywhere]",
        "remove": f"{RELATED}[remove from a global row]",
        "set": f"{RELATED}[set of another key]",
        "update_or_create": "test_writes_upsert.py::test_it_equals_one_database[make, of the reverse side]",
    },
    "many-to-many": {
        **_RELATED_WRITES,
        "add": f"{RELATED}[add]",
        "clear": f"{RELATED}[clear]",
        "constrained_target": f"{RELATED}[count]",
        "count": f"{RELATED}[count]",
        "create": f"{RELATED}[create]",
        "exists": f"{RELATED}[count]",
        "get_or_create": f"{RELATED}[get or create]",
        "get_prefetch_cache": "test_reads_async.py::test_a_many_to_many_manager_uses_what_was_prefetched",
        "get_prefetch_querysets": f"{PREFETCH}[many_to_many]",
        "get_queryset": "test_reads_single.py::test_related_rows_are_asked_of_their_shard[labels]",
        "remove": f"{RELATED}[remove]",
        "set": f"{RELATED}[set]",
        "set_base": f"{RELATED}[set]",
        "update_or_create": f"{RELATED}[update or create]",
    },
    "generic relation": {
        **_RELATED_WRITES,
        "add": f"{RELATED}[add new ones, not in bulk]",
        "clear": f"{RELATED}[clear]",
        "create": f"{RELATED}[create with a target]",
        "get_content_type": f"{READING}[of_a_generic_relation]",
        "get_or_create": f"{RELATED}[get or create]",
        "get_prefetch_querysets": f"{PREFETCH}[generic_relation]",
        "get_queryset": f"{READING}[of_a_generic_relation]",
        "remove": f"{RELATED}[remove]",
        "set": f"{RELATED}[set]",
        "update_or_create": f"{RELATED}[update or create]",
    },
    "forward foreign key": {
        "__get__": "test_reads_single.py::test_related_rows_are_asked_of_their_shard[forward]",
        "__set__": f"{RELATED}[assigning another customer's referrer]",
        "fetch_many": FETCH_MODES,
        "fetch_one": FETCH_MODES,
        "get_object": f"{READING}[to_another_group]",
        "get_prefetch_querysets": f"{PREFETCH}[forward]",
        "get_queryset": f"{READING}[to_another_group]",
        "is_cached": "test_reads_related.py::test_select_related_of_all_shards[forward]",
    },
    "forward one-to-one": {
        "__get__": f"{PREFETCH}[one_to_one_back]",
        "__set__": f"{RELATED}[create]",
        "fetch_many": FETCH_MODES,
        "fetch_one": FETCH_MODES,
        "get_object": f"{PREFETCH}[one_to_one_back]",
        "get_prefetch_querysets": f"{PREFETCH}[one_to_one_back]",
        "get_queryset": f"{PREFETCH}[one_to_one_back]",
        "is_cached": "test_reads_related.py::test_select_related_of_all_shards[backward]",
    },
    "reverse one-to-one": {
        "__get__": f"{READING}[of_one_to_one]",
        "__set__": f"{RELATED}[assigning on the reverse side]",
        "fetch_many": FETCH_MODES,
        "fetch_one": FETCH_MODES,
        "get_prefetch_querysets": f"{PREFETCH}[one_to_one]",
        "get_queryset": f"{READING}[of_one_to_one]",
        "is_cached": "test_reads_related.py::test_select_related_of_all_shards[backward]",
    },
    "generic foreign key": {
        "__get__": f"{READING}[generic]",
        "__set__": f"{RELATED}[assigning]",
        "fetch_many": FETCH_MODES,
        "fetch_one": FETCH_MODES,
        "get_prefetch_querysets": f"{PREFETCH}[generic_foreign_key]",
        "is_cached": f"{PREFETCH}[generic_foreign_key]",
    },
}

#: Methods whose own name no test writes, since Django calls them for what the test does write.
CALLED_BY_DJANGO: Final = frozenset(
    {
        "__get__",
        "__set__",
        "as_manager",
        "constrained_target",
        "contribute_to_class",
        "fetch_many",
        "fetch_one",
        "get_content_type",
        "get_object",
        "get_prefetch_cache",
        "get_prefetch_querysets",
        "get_queryset",
        "is_cached",
        "resolve_expression",
        "set_base",
    }
)
#: Attributes that hold a value and do nothing, and what Django is about to remove.
NOT_METHODS: Final = frozenset(
    {
        "RelatedObjectDoesNotExist",
        "auto_created",
        "creation_counter",
        "do_not_call_in_templates",
        "field",
        "get_prefetch_queryset",
        "related",
        "use_in_migrations",
    }
)

"""Which names of Django's insides do we lean on?

Everything that is not in Django's documentation and that shardkit overrides, calls or reads is listed here with what
it must look like, and `tests/contracts/test_django_api.py` fails by name when a Django version changes one.
"""

from __future__ import annotations

from typing import Final

from django.db.models.base import ModelBase
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, ROW_COUNT, SINGLE
from django.db.models.sql.query import Query
from django.db.models.sql.subqueries import InsertQuery, UpdateQuery

__all__ = [
    "ATTRIBUTES",
    "CALLABLES",
    "GET_ITERATOR_CHUNK_SIZE",
    "MULTI",
    "ROW_COUNT",
    "SINGLE",
    "InsertQuery",
    "ModelBase",
    "Query",
    "UpdateQuery",
]

#: Dotted name to the parameters it must accept, in this order; more may follow.
CALLABLES: Final[dict[str, tuple[str, ...]]] = {
    "django.db.models.base.Model._do_insert": ("self", "manager", "using", "fields", "returning_fields", "raw"),
    "django.db.models.base.Model._save_table": (
        "self",
        "raw",
        "cls",
        "force_insert",
        "force_update",
        "using",
        "update_fields",
    ),
    "django.db.models.base.Model.save_base": (
        "self",
        "raw",
        "force_insert",
        "force_update",
        "using",
        "update_fields",
    ),
    "django.db.models.base.Model.from_db": ("db", "field_names", "values"),
    "django.db.models.base.Model._prepare_related_fields_for_save": ("self", "operation_name"),
    "django.db.models.base.ModelBase._prepare": ("cls",),
    "django.db.models.fields.Field.get_pk_value_on_save": ("self", "instance"),
    "django.db.models.query.QuerySet._combinator_query": ("self", "combinator"),
    "django.db.models.query.QuerySet._chain": ("self",),
    "django.db.models.query.QuerySet._clone": ("self",),
    "django.db.models.query.QuerySet._raw_delete": ("self", "using"),
    "django.db.models.query.QuerySet._update": ("self", "values"),
    "django.db.models.query.QuerySet.bulk_create": ("self", "objs", "batch_size"),
    "django.db.models.query.QuerySet.bulk_update": ("self", "objs", "fields", "batch_size"),
    "django.db.models.sql.query.Query.get_compiler": ("self", "using", "connection", "elide_empty"),
    "django.db.models.sql.compiler.SQLCompiler.__init__": ("self", "query", "connection", "using", "elide_empty"),
    "django.db.models.sql.compiler.SQLCompiler.as_sql": ("self", "with_limits", "with_col_aliases"),
    "django.db.models.sql.compiler.SQLCompiler.compile": ("self", "node"),
    "django.db.models.sql.compiler.SQLCompiler.get_extra_select": ("self", "order_by", "select"),
    "django.db.models.sql.compiler.SQLCompiler.get_group_by": ("self", "select", "order_by"),
    "django.db.models.sql.compiler.SQLCompiler.get_qualify_sql": ("self",),
    "django.db.models.sql.compiler.SQLCompiler.pre_sql_setup": ("self",),
    "django.db.models.sql.compiler.SQLCompiler.execute_sql": ("self", "result_type", "chunked_fetch", "chunk_size"),
    "django.db.models.sql.compiler.SQLInsertCompiler.execute_sql": ("self", "returning_fields"),
    "django.db.models.sql.compiler.SQLUpdateCompiler.execute_sql": ("self", "result_type"),
    "django.db.backends.base.operations.BaseDatabaseOperations.compiler": ("self", "compiler_name"),
    "django.db.backends.base.operations.BaseDatabaseOperations.sql_flush": ("self", "style", "tables"),
    "django.db.backends.base.operations.BaseDatabaseOperations.sequence_reset_sql": ("self", "style", "model_list"),
    "django.db.backends.base.base.BaseDatabaseWrapper.savepoint": ("self",),
    "django.db.backends.base.base.BaseDatabaseWrapper.savepoint_rollback": ("self", "sid"),
    "django.db.backends.base.base.BaseDatabaseWrapper.savepoint_commit": ("self", "sid"),
    "django.db.backends.base.base.BaseDatabaseWrapper.commit": ("self",),
    "django.db.backends.base.base.BaseDatabaseWrapper.rollback": ("self",),
    "django.db.backends.base.base.BaseDatabaseWrapper.check_constraints": ("self", "table_names"),
    "django.db.transaction.Atomic": ("using", "savepoint", "durable"),
}

#: Dotted name of a class to the attributes that an instance must have.
ATTRIBUTES: Final[dict[str, tuple[str, ...]]] = {
    "django.db.models.sql.query.Query": (
        "alias_map",
        "alias_refcount",
        "annotation_select",
        "annotations",
        "combinator",
        "combined_queries",
        "compiler",
        "default_cols",
        "default_ordering",
        "distinct",
        "distinct_fields",
        "explain_info",
        "extra",
        "extra_order_by",
        "extra_tables",
        "group_by",
        "high_mark",
        "is_sliced",
        "low_mark",
        "model",
        "order_by",
        "select",
        "select_for_update",
        "select_related",
        "where",
    ),
    "django.db.models.sql.subqueries.InsertQuery": ("fields", "objs", "on_conflict", "raw"),
    "django.db.models.sql.subqueries.UpdateQuery": ("related_ids", "related_updates", "values"),
    "django.db.models.sql.compiler.PositionRef": ("ordinal", "refs", "source"),
    "django.db.models.sql.compiler.SQLCompiler": (
        "_meta_ordering",
        "annotation_col_map",
        "col_count",
        "elide_empty",
        "klass_info",
        "qualify",
        "select",
    ),
    "django.db.models.sql.where.WhereNode": ("children", "connector", "negated"),
    "django.db.models.sql.datastructures.BaseTable": ("table_alias", "table_name"),
    "django.db.models.sql.datastructures.Join": (
        "filtered_relation",
        "join_fields",
        "join_type",
        "parent_alias",
        "table_alias",
        "table_name",
    ),
    "django.db.models.lookups.Exact": ("lhs", "rhs"),
    "django.db.models.fields.tuple_lookups.TupleIn": ("lhs", "rhs"),
    "django.db.models.expressions.Col": ("alias", "target"),
    "django.db.models.expressions.ColPairs": ("alias", "get_cols", "targets"),
    "django.db.models.expressions.OrderBy": ("descending", "expression", "nulls_first", "nulls_last"),
    "django.db.models.query_utils.FilteredRelation": ("resolved_condition",),
    "django.db.models.query.QuerySet": ("_db", "_for_write", "_hints"),
    "django.db.models.base.ModelState": ("adding", "db", "fields_cache"),
    "django.db.backends.base.base.BaseDatabaseWrapper": (
        "connection",
        "execute_wrappers",
        "in_atomic_block",
        "needs_rollback",
        "savepoint_ids",
    ),
}

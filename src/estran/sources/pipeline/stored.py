"""What the warehouse holds now, as a load sees it: nothing hidden but what was replaced."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa

from estran.warehouse import Snapshot, members


def stored(snapshot: Snapshot) -> duckdb.DuckDBPyConnection:
    """A connection with the snapshot's raw views and `stored_document`: the documents that no newer
    version replaced, cancelled and opposed ones included."""
    connection = snapshot.connect()
    retired = [members(snapshot.retired(bucket)) for bucket in snapshot.buckets]
    ids = np.concatenate(retired) if retired else np.zeros(0, dtype=np.int64)
    connection.execute("create or replace temp table retired_document (document_id integer)")
    if len(ids):
        connection.register("given", pa.table({"document_id": ids.astype(np.int32)}))
        connection.execute("insert into retired_document select document_id from given")
        connection.unregister("given")
    anti = "anti join retired_document using (document_id)" if len(ids) else ""
    connection.execute(f"create or replace temp view stored_document as select * from raw_document {anti}")
    return connection

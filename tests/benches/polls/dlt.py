import sys, time
import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import APIKeyAuth
from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator

feed, key, wanted, folder = sys.argv[1:]
wanted = int(wanted)


@dlt.resource(name="sale_lines", primary_key=("sale_id", "line_no"), write_disposition="append")
def sale_lines():
    client = RESTClient(
        feed,
        headers={"accept": "application/json"},
        auth=APIKeyAuth(name="apikey", api_key=key, location="header"),
        paginator=JSONResponseCursorPaginator(cursor_path="next", cursor_param="after"),
        data_selector="items",
    )
    seen = 0
    for page in client.paginate("/sale_lines", params={"limit": min(10_000, wanted)}):
        yield page
        seen += len(page)
        if seen >= wanted:
            return


started = time.monotonic()
pipeline = dlt.pipeline(
    pipeline_name="tributary_bench",
    pipelines_dir=folder + "/pipelines",
    destination=dlt.destinations.filesystem(bucket_url="file://" + folder + "/lake"),
    dataset_name="bench",
)
pipeline.run(sale_lines(), loader_file_format="parquet")
took = time.monotonic() - started
rows = pipeline.last_trace.last_normalize_info.row_counts["sale_lines"]
assert rows >= wanted, rows
print(rows / took)

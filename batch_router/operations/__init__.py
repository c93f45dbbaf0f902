"""What clients ask of the store and the storage: submit, status, results, retry, resolve, purge, orphans."""

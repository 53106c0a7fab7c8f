#!/usr/bin/env bash
# As in Spark's distribution; the archive on PyPI lacks it.
. "$SPARK_HOME/bin/load-spark-env.sh"
exec "$SPARK_HOME/sbin/spark-daemon.sh" submit org.apache.spark.sql.connect.service.SparkConnectServer 1 \
    --name "Spark Connect server" "$@"

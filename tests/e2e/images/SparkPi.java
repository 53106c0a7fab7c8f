package org.apache.spark.examples;

import java.util.ArrayList;
import java.util.List;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.SparkSession;

/** Computes pi on the executors, as the example of that name does; the archive on PyPI has no jar of the examples. */
public final class SparkPi {
    public static void main(String[] arguments) {
        SparkSession session = SparkSession.builder().appName("Spark Pi").getOrCreate();
        JavaSparkContext context = new JavaSparkContext(session.sparkContext());
        int slices = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2;
        int points = 100_000 * slices;
        List<Integer> numbers = new ArrayList<>(points);
        for (int i = 0; i < points; i++) {
            numbers.add(i);
        }
        int inside = context.parallelize(numbers, slices).map(SparkPi::isInside).reduce(Integer::sum);
        System.out.println("Pi is roughly " + 4.0 * inside / points);
        session.stop();
    }

    private static int isInside(int ignored) {
        double x = Math.random() * 2 - 1;
        double y = Math.random() * 2 - 1;
        return x * x + y * y <= 1 ? 1 : 0;
    }
}

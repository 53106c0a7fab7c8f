package org.apache.spark.examples;

/** An application that needs no executors: a driver that says so and is done, for tests with many of them. */
public final class Hello {
    public static void main(String[] arguments) {
        System.out.println("Hello from a driver");
    }
}

// A service in Go: one span over HTTP and one over gRPC below the span that TRACEPARENT names, and a counter.
package main

import (
	"context"
	"log"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	host := must(url.Parse(os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))).Host
	service := resource.NewSchemaless(attribute.String("service.name", "in-go"))
	carrier := propagation.MapCarrier{"traceparent": os.Getenv("TRACEPARENT")}
	parent := propagation.TraceContext{}.Extract(ctx, carrier)

	exporters := map[string]*otlptrace.Exporter{
		"go over http": must(otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(host), otlptracehttp.WithInsecure(),
			otlptracehttp.WithCompression(otlptracehttp.GzipCompression))),
		"go over grpc": must(otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(host), otlptracegrpc.WithInsecure(),
			otlptracegrpc.WithCompressor("gzip"))),
	}
	for name, exporter := range exporters {
		provider := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(service))
		_, span := provider.Tracer("polyglot").Start(parent, name)
		span.SetAttributes(attribute.String("text", "ä ☃ 😀"), attribute.Float64Slice("numbers", []float64{0.5, 2}))
		span.End()
		must(0, provider.Shutdown(ctx))
	}

	metrics := must(otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithEndpoint(host), otlpmetricgrpc.WithInsecure()))
	provider := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)), metric.WithResource(service))
	must(provider.Meter("polyglot").Int64Counter("go.sent")).Add(ctx, 2)
	must(0, provider.Shutdown(ctx))
}

// Digits prints a table of several losses of a real model's predictions.
//
//	go run ./examples/digits [-target localhost:8081] ../../demo/digits.csv
//
// The file holds a logistic regression's probabilities of ten digits, p0 to p9, and the digit.
package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/lossmeter/lossmeter/clients/go"
)

const digits = 10

var rows = []struct {
	title string
	loss  lossmeter.LossSpec
}{
	{"log loss", logLoss("mean")},
	{"log loss, worst sample", logLoss("max")},
	{"log loss, median sample", logLoss("median")},
	{"log loss of Keras", lossmeter.LossSpec{Loss: "keras.losses.SparseCategoricalCrossentropy"}},
	{"perplexity", logLoss("exp_mean")},
}

func logLoss(reduction string) lossmeter.LossSpec {
	return lossmeter.LossSpec{
		Loss:      "sparse_categorical_cross_entropy",
		Reduction: lossmeter.Reduction{Name: reduction},
	}
}

func main() {
	target := flag.String("target", "localhost:8081", "host and port of the service")
	flag.Parse()
	if err := run(context.Background(), *target, flag.Arg(0), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, target, path string, out io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	inputs, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	client, err := lossmeter.NewClient(target)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()

	losses := map[string]lossmeter.LossSpec{}
	for _, row := range rows {
		losses[row.title] = row.loss
	}
	answer, err := client.Evaluate(ctx, lossmeter.Request{Losses: losses, Inputs: inputs})
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		found := answer.Results[row.title]
		fmt.Fprintf(table, "%s\t%.12f\t%d samples\n", row.title, found.Value, found.Count)
	}
	return table.Flush()
}

// read are the probabilities and the digits of a file.
func read(file io.Reader) (lossmeter.Inputs, error) {
	records, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(records) == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	header, records := records[0], records[1:]
	predictions := make([]float64, 0, digits*len(records))
	for _, record := range records {
		for digit := range digits {
			p, err := number(header, record, fmt.Sprint("p", digit))
			if err != nil {
				return nil, err
			}
			predictions = append(predictions, p)
		}
	}
	targets := make([]float64, len(records))
	for i, record := range records {
		if targets[i], err = number(header, record, "target"); err != nil {
			return nil, err
		}
	}
	return lossmeter.Inputs{
		"predictions": lossmeter.Of(predictions, len(records), digits),
		"targets":     lossmeter.Of(targets),
	}, nil
}

func number(header, record []string, column string) (float64, error) {
	at := slices.Index(header, column)
	if at < 0 {
		return 0, fmt.Errorf("no column %s", column)
	}
	return strconv.ParseFloat(record[at], 64)
}

package lossmeter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is why a call failed, or why something was refused before it was sent. Every error of a call
// is one, but those that come from a caller's own batches:
//
//	var refused *lossmeter.Error
//	if errors.As(err, &refused) && refused.Reason == "SHAPE_MISMATCH" { … }
//
// Where a call was cancelled or late, errors.Is also finds [context.Canceled] or
// [context.DeadlineExceeded].
type Error struct {
	// Code is that of google.rpc, such as codes.InvalidArgument; codes.Unavailable where nobody
	// answers.
	Code codes.Code
	// Reason is the word for programs, such as SHAPE_MISMATCH; empty where it was not the service
	// that refused. The service's documents list them.
	Reason string
	// Field is where, as a dotted path such as inputs.targets; empty if no one place is wrong.
	Field string
	// Detail is what was wrong and what would be right.
	Detail string
	// Facts are numbers beside the sentence: limit and actual of what is too large, chunk of a
	// message of a stream, counted from 0.
	Facts map[string]int64
	// RetryAfter is how long the service asks to wait before another attempt; 0 if it does not say.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	what, place := e.Reason, ""
	if what == "" {
		what = e.Code.String()
	}
	if e.Field != "" {
		place = " at " + e.Field
	}
	return fmt.Sprintf("lossmeter: %s%s: %s", what, place, e.Detail)
}

// Unwrap is the error of package context that the code stands for, if it does for one.
func (e *Error) Unwrap() error {
	switch e.Code {
	case codes.Canceled:
		return context.Canceled
	case codes.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return nil
}

// GRPCStatus lets the package status of gRPC read the code.
func (e *Error) GRPCStatus() *status.Status { return status.New(e.Code, e.Detail) }

const domain = "lossmeter"

// failed is the error that a failed call stands for.
func failed(err error) error {
	told := status.Convert(err)
	e := &Error{Code: told.Code(), Detail: told.Message()}
	for _, detail := range told.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == domain {
				e.inform(detail)
			}
		case *errdetails.BadRequest:
			if violations := detail.GetFieldViolations(); e.Field == "" && len(violations) > 0 {
				e.Field = violations[0].GetField()
			}
		case *errdetails.RetryInfo:
			e.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return e
}

func (e *Error) inform(info *errdetails.ErrorInfo) {
	e.Reason = info.GetReason()
	for name, content := range info.GetMetadata() {
		if name == "field" {
			e.Field = content
		} else if number, err := strconv.ParseInt(content, 10, 64); err == nil {
			if e.Facts == nil {
				e.Facts = map[string]int64{}
			}
			e.Facts[name] = number
		}
	}
}

// invalid is what is found wrong before anything is sent.
func invalid(reason, field, detail string) *Error {
	return &Error{Code: codes.InvalidArgument, Reason: reason, Field: field, Detail: detail}
}

// reasonOf is the reason of an error; empty if it has none.
func reasonOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// Package wandb speaks the two languages of Weights & Biases, without their SDK: the .wandb transaction log of an offline
// run, which `wandb sync` uploads, and the service itself (GraphQL and file_stream).
//
// Start with Settings, made from the WANDB_* environment. log.go frames records, record.go makes them, read.go reads them
// back, row.go writes lines of history; client.go makes single requests to a server. Nothing here retries or remembers
// what was sent: package track does.
//
// Sources: wandb/proto/wandb_internal.proto, core/internal/transactionlog, core/internal/filestream and
// core/api/graphql of the wandb repository (MIT), read for their formats.
package wandb

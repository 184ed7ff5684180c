// Quickstart starts a cluster of three nodes in its own process, uses it through
// database/sql, kills a node in the middle, and goes on without an error.
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"time"

	_ "github.com/qdb-go/qdb"
	"github.com/qdb-go/qdb/testserver"
)

func main() {
	log.SetFlags(0)
	cluster, err := testserver.New(testserver.Options{Nodes: 3})
	if err != nil {
		log.Fatal(err)
	}
	defer cluster.Close()
	if err := run(cluster); err != nil {
		log.Fatal(err)
	}
}

func run(cluster *testserver.Cluster) error {
	fmt.Println("cluster: ", cluster.DSN())
	db, err := sql.Open("qdb", cluster.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	if err := createAndInsert(ctx, db); err != nil {
		return err
	}
	if err := transfer(ctx, db, "ada", "grace", 25); err != nil {
		return err
	}
	if err := printAccounts(ctx, db); err != nil {
		return err
	}
	if err := surviveDeath(ctx, db, cluster); err != nil {
		return err
	}
	return printAccounts(ctx, db)
}

func createAndInsert(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE accounts (
		id      INTEGER PRIMARY KEY,
		owner   TEXT NOT NULL UNIQUE,
		balance DECIMAL(10,2) NOT NULL CHECK (balance >= 0),
		opened  TIMESTAMP NOT NULL)`)
	if err != nil {
		return err
	}
	for _, owner := range []string{"ada", "grace", "edsger"} {
		res, err := db.ExecContext(ctx, "INSERT INTO accounts (owner, balance, opened) VALUES (?, ?, ?)", owner, 100, time.Now())
		if err != nil {
			return err
		}
		id, err := res.LastInsertId()
		if err != nil {
			return err
		}
		fmt.Printf("inserted: %s as number %d\n", owner, id)
	}
	return nil
}

// transfer moves money in one transaction.
func transfer(ctx context.Context, db *sql.DB, from, to string, amount int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing after the commit
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance - ? WHERE owner = ?", amount, from); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance + ? WHERE owner = ?", amount, to); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	fmt.Printf("transferred: %d from %s to %s\n", amount, from, to)
	return nil
}

func printAccounts(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, "SELECT owner, balance, opened FROM accounts ORDER BY owner")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var owner, balance string
		var opened time.Time
		if err := rows.Scan(&owner, &balance, &opened); err != nil {
			return err
		}
		fmt.Printf("account: %-6s %8s  since %s\n", owner, balance, opened.Format(time.RFC3339))
	}
	return rows.Err()
}

// surviveDeath runs 300 queries and transfers, and kills a node after the first
// hundred and brings it back after the second.
func surviveDeath(ctx context.Context, db *sql.DB, cluster *testserver.Cluster) error {
	served := map[string]int{}
	for i := range 300 {
		switch i {
		case 100:
			cluster.Node(1).Kill()
			fmt.Printf("killed: node %s, after %d queries\n", cluster.Node(1).ID(), i)
		case 200:
			if err := cluster.Node(1).Restart(); err != nil {
				return err
			}
			fmt.Printf("restarted: node %s, after %d queries\n", cluster.Node(1).ID(), i)
		}
		var node string
		if err := db.QueryRowContext(ctx, "SELECT qdb_node_id()").Scan(&node); err != nil {
			return fmt.Errorf("query %d: %w", i, err)
		}
		served[node]++
		if i%50 == 25 {
			if err := transfer(ctx, db, "ada", "edsger", 1); err != nil {
				return fmt.Errorf("transfer at query %d: %w", i, err)
			}
		}
	}
	fmt.Printf("answered: 300 of 300 queries, by node: %v\n", served)
	return nil
}

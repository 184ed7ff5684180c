package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/qdb-go/qdb/testserver/backend"
)

func benchmarkBoth(b *testing.B, run func(b *testing.B, s session)) {
	for name, path := range map[string]string{"memory": "", "file": filepath.Join(b.TempDir(), "bench.db")} {
		b.Run(name, func(b *testing.B) {
			s := connect(b, openMemory(b, Options{Path: path}))
			s.exec("create table t(id integer primary key, f real, s text, ok boolean, at timestamp, b blob)")
			s.exec(`with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000)
				insert into t select i, i / 3.0, 'twenty characters :-)', i % 2, '2024-02-29 13:14:15.5+00:00', randomblob(16) from n`)
			run(b, s)
		})
	}
}

// BenchmarkScan reads 100,000 rows of six columns.
func BenchmarkScan(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, s session) {
		stmt := s.prepare("select * from t")
		buffer := make([]byte, 0, 64<<10)
		b.ReportAllocs()
		rows := 0
		for b.Loop() {
			check(b, stmt.Bind(nil))
			for {
				row, err := stmt.Step()
				check(b, err)
				if !row {
					break
				}
				if buffer = stmt.AppendRow(buffer); len(buffer) > 60<<10 {
					buffer = buffer[:0]
				}
				rows++
			}
		}
		b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	})
}

func BenchmarkSelectByKey(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, s session) {
		stmt := s.prepare("select * from t where id = ?")
		args := arguments([]any{1})
		var buffer []byte
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			args[0].Value = toValue(n*7919%100_000 + 1)
			check(b, stmt.Bind(args))
			row, err := stmt.Step()
			if !row || err != nil {
				b.Fatal(row, err)
			}
			buffer = stmt.AppendRow(buffer[:0])
			_, err = stmt.Step()
			check(b, err)
			check(b, stmt.Reset())
		}
	})
}

func BenchmarkPrepare(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, s session) {
		b.ReportAllocs()
		for b.Loop() {
			stmt, _, err := s.Prepare("select * from t where id = ?")
			check(b, err)
			check(b, stmt.Close())
		}
	})
}

func BenchmarkInsert(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, s session) {
		stmt := s.prepare("insert into t(f, s, ok) values (?, ?, ?)")
		args := arguments([]any{1.5, "twenty characters :-)", true})
		insert := func() {
			check(b, stmt.Bind(args))
			_, err := stmt.Step()
			check(b, err)
			check(b, stmt.Reset())
		}
		b.Run("autocommit", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				insert()
			}
		})
		b.Run("in a transaction", func(b *testing.B) {
			check(b, s.Begin(readWrite))
			b.ReportAllocs()
			for b.Loop() {
				insert()
			}
			check(b, s.Commit())
		})
	})
}

func BenchmarkTransaction(b *testing.B) {
	benchmarkBoth(b, func(b *testing.B, s session) {
		stmt := s.prepare("update t set f = f + 1 where id = ?")
		args := arguments([]any{42})
		b.ReportAllocs()
		for b.Loop() {
			check(b, s.Begin(readWrite))
			check(b, stmt.Bind(args))
			_, err := stmt.Step()
			check(b, err)
			check(b, s.Commit())
		}
	})
}

func BenchmarkConnect(b *testing.B) {
	db := openMemory(b, Options{})
	for b.Loop() {
		c, err := db.Connect(b.Context(), backend.Identity{})
		check(b, err)
		check(b, c.Close())
	}
}

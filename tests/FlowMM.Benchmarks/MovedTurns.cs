using System.Diagnostics;

namespace FlowMM.Benchmarks;

/// <summary>What moving turns came to. Times in milliseconds.</summary>
/// <param name="Budget">Share of the cache that was kept.</param>
/// <param name="Turns">Turns that were moved.</param>
/// <param name="Moves">Moves of a running turn.</param>
/// <param name="Pause">Time in which no token was made.</param>
/// <param name="Call">Time of the whole call.</param>
/// <param name="Gap">Longest time between two pieces of text around a move.</param>
/// <param name="UsualGap">Time between two pieces of text elsewhere.</param>
/// <param name="Bytes">Bytes moved, the median.</param>
internal sealed record MovedTurns(double Budget, int Turns, int Moves, Spread Pause, Spread Call, Spread Gap, Spread UsualGap, double Bytes)
{
    public static MovedTurns Of(double budget, IReadOnlyList<MovedTurn> turns)
    {
        Move[] moves = [.. turns.SelectMany(t => t.Moves)];
        return new(
            budget,
            turns.Count,
            moves.Length,
            Spread.Of(moves.Select(m => m.PauseMs)),
            Spread.Of(moves.Select(m => Stopwatch.GetElapsedTime(m.Began, m.Ended).TotalMilliseconds)),
            Spread.Of(turns.SelectMany(t => t.GapsOfMoves)),
            Spread.Of(turns.SelectMany(t => t.UsualGaps)),
            Figures.Median(moves.Select(m => (double)m.Bytes)));
    }

    public override string ToString() =>
        $"budget {Budget:P0}: {Moves} moves in {Turns} turns, {Bytes / 1e6:F2} MB each; ms p50/p95/most: pause {Pause}, between texts {Gap} (elsewhere {UsualGap}), whole call {Call}";
}

/// <summary>How values spread.</summary>
internal sealed record Spread(double P50, double P95, double Most)
{
    public static Spread Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return new(Figures.Median(sorted), sorted[(int)(0.95 * (sorted.Length - 1))], sorted[^1]);
    }

    public override string ToString() => $"{P50:F1}/{P95:F1}/{Most:F1}";
}

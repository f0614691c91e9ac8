using System.Diagnostics;
using FlowMM.Admin.V1;
using FlowMM.Inference.V1;
using Grpc.Core;

namespace FlowMM.Benchmarks;

/// <summary>A turn that is moved while it runs, and what its caller sees of that.</summary>
internal sealed class MovedTurn(ServedCluster cluster, string session, GenerateRequest request)
{
    /// <summary>Pieces of text that come between two moves, so that there is a gap of every day to compare with.</summary>
    private const int Between = 4;

    private readonly List<long> _pieces = [];
    private readonly SemaphoreSlim _came = new(0);

    /// <summary>The moves that met the running turn.</summary>
    public List<Move> Moves { get; } = [];

    /// <summary>Milliseconds between two pieces of text in a row, where no move was under way.</summary>
    public IEnumerable<double> UsualGaps => Gaps().Where(g => !Moves.Any(m => m.Meets(g.From, g.To))).Select(Milliseconds);

    /// <summary>For each move the longest time between two pieces of text in a row around it, in milliseconds.</summary>
    public IEnumerable<double> GapsOfMoves => Moves.Select(m => Gaps().Where(g => m.Meets(g.From, g.To)).Select(Milliseconds).DefaultIfEmpty().Max());

    /// <summary>Runs it to its end, or cancels it after some moves.</summary>
    /// <exception cref="InvalidOperationException">What was streamed is not what was committed.</exception>
    public async Task Run(int most)
    {
        request.SessionId = session;
        Task<string> reading = Read();
        while (Moves.Count < most && await Pieces(reading))
        {
            if (await TryMove() is { } move)
            {
                Moves.Add(move);
            }
        }

        await TryCancel();
        await reading;
        await cluster.Client.DeleteSessionAsync(new() { SessionId = session });
    }

    private static double Milliseconds((long From, long To) gap) => Stopwatch.GetElapsedTime(gap.From, gap.To).TotalMilliseconds;

    private async Task<string> Read()
    {
        string text = "";
        using AsyncServerStreamingCall<GenerateResponse> call = cluster.Client.Generate(request);
        await foreach (GenerateResponse response in call.ResponseStream.ReadAllAsync())
        {
            if (response.Delta is { } delta)
            {
                lock (_pieces)
                {
                    _pieces.Add(Stopwatch.GetTimestamp());
                }

                text = delta.Offset == text.Length ? text + delta.Text : throw new InvalidOperationException($"Text came at {delta.Offset}; {text.Length} was next.");
                _came.Release();
            }

            if (response.Finished is { } finished && finished.Turn.Text != text)
            {
                throw new InvalidOperationException("Other text was committed than was streamed.");
            }
        }

        return text;
    }

    /// <summary>Waits for the next pieces of text that come from now on.</summary>
    /// <returns>False when the turn ended before.</returns>
    private async Task<bool> Pieces(Task reading)
    {
        while (_came.Wait(0))
        {
            // They came before.
        }

        for (int i = 0; i < Between && !reading.IsCompleted; i++)
        {
            await Task.WhenAny(_came.WaitAsync(), reading);
        }

        return !reading.IsCompleted;
    }

    private async Task<Move?> TryMove()
    {
        long began = Stopwatch.GetTimestamp();
        try
        {
            MigrateSessionResponse moved = await cluster.Admin.MigrateSessionAsync(new() { SessionId = session });

            // An idle session has no pause.
            return moved.PauseMs > 0 ? new Move(began, Stopwatch.GetTimestamp(), moved.PauseMs, moved.Bytes) : null;
        }
        catch (RpcException ended) when (ended.StatusCode is StatusCode.Unavailable or StatusCode.FailedPrecondition)
        {
            // The turn ended meanwhile, or the session is between two nodes.
            return null;
        }
    }

    private async Task TryCancel()
    {
        try
        {
            await cluster.Client.CancelTurnAsync(new() { SessionId = session, TurnId = request.TurnId });
        }
        catch (RpcException moving) when (moving.StatusCode is StatusCode.Unavailable or StatusCode.NotFound)
        {
            // Then it runs to its end.
        }
    }

    private IReadOnlyList<(long From, long To)> Gaps()
    {
        lock (_pieces)
        {
            return [.. _pieces.Zip(_pieces.Skip(1))];
        }
    }
}

/// <summary>A move of a running turn.</summary>
/// <param name="Began">When it was asked for.</param>
/// <param name="Ended">When the answer was here.</param>
/// <param name="PauseMs">Time in which no token was made, as the answer says.</param>
/// <param name="Bytes">Bytes moved.</param>
internal sealed record Move(long Began, long Ended, double PauseMs, long Bytes)
{
    /// <summary>Whether the time between two pieces of text overlaps it.</summary>
    public bool Meets(long from, long to) => to >= Began && from <= Ended;
}

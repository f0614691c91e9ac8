using System.Runtime.CompilerServices;
using FlowMM.Abstractions;
using FlowMM.Silo.Store;

namespace FlowMM.Silo.Sessions;

/// <summary>
/// The events of one running turn. Any number of callers listen, each from its own offset; none of them holds up the turn.
/// Used under the grain's scheduler alone, so it takes no lock.
/// </summary>
/// <param name="turn">The turn.</param>
/// <param name="said">Ids that its answer is known to begin with.</param>
internal sealed class TurnLog(AcceptedTurn turn, IReadOnlyList<int> said)
{
    private readonly List<TurnEvent> _events = [];
    private readonly List<int> _ids = [.. said];
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _error;
    private bool _ended;

    public string TurnId { get; } = turn.TurnId;

    public string Digest { get; } = turn.Digest;

    /// <summary>The run that answers the turn; another each time it is taken up again.</summary>
    public string Owner { get; set; } = Fence.NewOwner();

    /// <summary>The answer's first ids, as far as they are known.</summary>
    public IReadOnlyList<int> Ids => _ids;

    /// <summary>Characters of the answer so far.</summary>
    public long Reached { get; private set; }

    public CancellationTokenSource Cancellation { get; } = new();

    /// <summary>Takes an event; text that is here already, because a turn says it again, is not taken twice.</summary>
    public void Add(TurnEvent happened)
    {
        if (From(happened, Reached) is TurnEvent fresh)
        {
            _events.Add(fresh);
            (fresh as TextDelta)?.AddTo(_ids);
            Reached = fresh is TextDelta delta ? delta.Offset + delta.Text.Length : Reached;
            Wake();
        }
    }

    public void End(Exception? error)
    {
        (_ended, _error) = (true, error);
        Wake();
    }

    /// <summary>The events, text from <paramref name="offset"/> on; ends as the turn ends. The ids of what is left out come with what follows.</summary>
    /// <param name="offset">Characters that the listener has.</param>
    /// <param name="told">Ids of the answer's first tokens, as they were told elsewhere.</param>
    /// <param name="cancellationToken">Ends the listening.</param>
    /// <exception cref="RefusedException">The answer does not begin as it was told to.</exception>
    public async IAsyncEnumerable<TurnEvent> Listen(long offset, IReadOnlyList<int> told, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        List<int> passed = [];
        for (int next = 0; ;)
        {
            while (next < _events.Count)
            {
                CheckGoesOn(TurnId, told, _ids);
                TurnEvent happened = _events[next++];
                if (From(happened, offset) is TurnEvent shown)
                {
                    yield return shown is TextDelta delta && passed.Count > 0 ? delta with { Ids = [.. passed, .. delta.Ids] } : shown;
                    passed.Clear();
                }
                else if (happened is TextDelta known)
                {
                    passed.AddRange(known.Ids);
                }
            }

            if (_ended)
            {
                if (_error is not null)
                {
                    throw _error;
                }

                yield break;
            }

            await _more.Task.WaitAsync(cancellationToken);
        }
    }

    /// <summary>What a turn that is committed tells, text from <paramref name="offset"/> on.</summary>
    /// <param name="done">The turn.</param>
    /// <param name="offset">Characters that the listener has.</param>
    /// <param name="told">Ids of the answer's first tokens, as they were told elsewhere.</param>
    /// <exception cref="RefusedException">The answer does not begin as it was told to.</exception>
    public static IEnumerable<TurnEvent> Told(TurnRecord done, long offset, IReadOnlyList<int> told)
    {
        CheckGoesOn(done.Accepted.TurnId, told, done.AnswerIds);
        yield return new TurnAccepted { TurnId = done.Accepted.TurnId };
        TextDelta whole = new() { Offset = 0, Text = done.Turn.Text, Tokens = done.Turn.Usage.CompletionTokens, Logprobs = done.Turn.Logprobs };
        if (whole.Text.Length > 0 && From(whole, offset) is TurnEvent rest)
        {
            yield return rest;
        }

        yield return new TurnFinished { Turn = done.Turn };
    }

    /// <summary>The part of an event that lies at or after <paramref name="offset"/>, or null.</summary>
    internal static TurnEvent? From(TurnEvent happened, long offset)
    {
        if (happened is not TextDelta delta || delta.Offset >= offset)
        {
            return happened;
        }

        long skip = offset - delta.Offset;
        return skip >= delta.Text.Length ? null : delta with { Offset = offset, Text = delta.Text[(int)skip..] };
    }

    /// <summary>Text never goes on from another answer than the one whose start was told.</summary>
    private static void CheckGoesOn(string turn, IReadOnlyList<int> told, IReadOnlyList<int> ids)
    {
        if (told.Zip(ids).Any(pair => pair.First != pair.Second))
        {
            throw new RefusedException(ErrorCode.FailedPrecondition, $"The answer of turn '{turn}' is not the one whose start was told; ask for it again from offset 0.");
        }
    }

    private void Wake()
    {
        TaskCompletionSource waited = _more;
        _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        waited.SetResult();
    }
}

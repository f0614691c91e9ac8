namespace FlowMM.KvCache;

/// <summary>From the token at a logical index on, rotary positions lie further by an amount.</summary>
/// <param name="Token">Logical index: the first token that is shifted, one after a picture's last.</param>
/// <param name="Amount">Positions; negative where a picture takes fewer positions than tokens.</param>
public readonly record struct PositionShift(int Token, int Amount);

/// <summary>
/// The shifts of a session's rotary positions against its logical indices. Where a picture's tokens stand in rows and columns (M-RoPE),
/// the text after it goes on after the picture's longer side, not after its last token. A session without such pictures has none.
/// </summary>
public sealed class PositionShifts
{
    private readonly List<PositionShift> _shifts = [];

    /// <summary>Ascending by token.</summary>
    public IReadOnlyList<PositionShift> All => _shifts;

    /// <summary>What is added to the logical index of the next token.</summary>
    public int Total { get; private set; }

    /// <summary>Adds a shift after all that are there.</summary>
    /// <param name="shift">Its token lies after that of the last.</param>
    /// <exception cref="ArgumentException">It does not.</exception>
    public void Add(PositionShift shift)
    {
        if (_shifts.Count > 0 && shift.Token <= _shifts[^1].Token)
        {
            throw new ArgumentException($"The shift begins at token {shift.Token}, the one before it at {_shifts[^1].Token}.", nameof(shift));
        }

        _shifts.Add(shift);
        Total += shift.Amount;
    }

    /// <summary>Forgets shifts that begin after the first <paramref name="tokens"/> tokens: the picture before them is cut into or gone.</summary>
    /// <param name="tokens">Tokens that stay.</param>
    public void Rewind(int tokens)
    {
        while (_shifts.Count > 0 && _shifts[^1].Token > tokens)
        {
            Total -= _shifts[^1].Amount;
            _shifts.RemoveAt(_shifts.Count - 1);
        }
    }

    /// <summary>Shifts of their own.</summary>
    public PositionShifts Clone()
    {
        PositionShifts copy = new();
        copy._shifts.AddRange(_shifts);
        copy.Total = Total;
        return copy;
    }
}

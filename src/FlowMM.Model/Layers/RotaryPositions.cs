using FlowMM.KvCache;

namespace FlowMM.Model.Layers;

/// <summary>
/// Rotary positions of a pass. Text counts up from the session's next position, equal on all axes. Where positions follow pictures
/// (M-RoPE), one that starts at p gives (p, p + row, p + column) to its tokens, and what follows goes on at p + its longer side.
/// </summary>
internal sealed class RotaryPositions
{
    private readonly List<int> _time = [];
    private readonly List<int> _row = [];
    private readonly List<int> _column = [];

    /// <param name="chunks">In row order.</param>
    /// <param name="pictures">True when pictures have rows and columns; false when they count up like text.</param>
    public RotaryPositions(IReadOnlyList<SequenceChunk> chunks, bool pictures)
    {
        foreach (SequenceChunk chunk in chunks)
        {
            AddChunk(chunk, pictures);
        }
    }

    /// <summary>[R], all of text and the time of pictures.</summary>
    public int[] Time => [.. _time];

    /// <summary>[R]: time, row, column.</summary>
    public int[][] Axes => [[.. _time], [.. _row], [.. _column]];

    /// <summary>True when an axis differs from another somewhere.</summary>
    public bool Differ { get; private set; }

    /// <summary>The shifts that a chunk adds to its session: one for each picture whose last token it holds.</summary>
    public static IEnumerable<PositionShift> Shifts(SequenceChunk chunk) => PictureSpan.Of(chunk)
        .Where(p => p.Start + p.Length <= chunk.TokenIds.Length)
        .Select(p => new PositionShift(chunk.Cache.LogicalLength + p.Start + p.Length, p.Extent - p.Length));

    private void AddChunk(SequenceChunk chunk, bool pictures)
    {
        int at = 0, next = chunk.Cache.NextPosition;
        foreach (PictureSpan picture in pictures ? PictureSpan.Of(chunk) : [])
        {
            for (; at < picture.Start; at++)
            {
                Add(next, next, next);
                next++;
            }

            // A picture that began in an earlier chunk began before the session's next index, and its shift is still to come.
            int first = picture.Start < 0 ? next + picture.Start : next;
            for (; at < Math.Min(picture.Start + picture.Length, chunk.TokenIds.Length); at++)
            {
                (int row, int column) = Math.DivRem(at - picture.Start, picture.Columns);
                Add(first, first + row, first + column);
                Differ = true;
            }

            next = first + picture.Extent;
        }

        for (; at < chunk.TokenIds.Length; at++)
        {
            Add(next, next, next);
            next++;
        }
    }

    private void Add(int time, int row, int column)
    {
        _time.Add(time);
        _row.Add(row);
        _column.Add(column);
    }
}

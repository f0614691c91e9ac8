namespace FlowMM.KvCache;

/// <summary>The final segments of a session, oldest first, and where each lies in each layer.</summary>
public sealed class SegmentTable
{
    private readonly List<SessionSegment> _segments = [];

    /// <summary>Oldest first; they follow each other without gaps from token 0.</summary>
    public IReadOnlyList<SessionSegment> All => _segments;

    /// <summary>Tokens that all segments stand for.</summary>
    public int Tokens => _segments.Sum(s => s.Tokens);

    /// <summary>Adds the next segment.</summary>
    /// <param name="segment">Begins where the last ends.</param>
    /// <exception cref="ArgumentException">It begins elsewhere.</exception>
    public void Add(SessionSegment segment)
    {
        if (segment.Position != Tokens)
        {
            throw new ArgumentException($"The segment begins at token {segment.Position}, the one before it ends at {Tokens}.", nameof(segment));
        }

        _segments.Add(segment);
    }

    /// <summary>First entry of a segment in a layer.</summary>
    /// <param name="index">Segment.</param>
    /// <param name="layer">Layer.</param>
    public int Start(int index, int layer) => _segments.Take(index).Sum(s => s.Lengths[layer]);

    /// <summary>Notes how many entries a segment holds after it was compressed again.</summary>
    /// <param name="index">Segment.</param>
    /// <param name="lengths">[layers].</param>
    public void Resize(int index, IReadOnlyList<int> lengths) => _segments[index] = _segments[index] with { Lengths = lengths };

    /// <summary>A table of its own.</summary>
    public SegmentTable Clone() => Of(_segments);

    /// <summary>A table of segments that follow each other.</summary>
    /// <param name="segments">Oldest first.</param>
    /// <exception cref="ArgumentException">There is a gap between two.</exception>
    public static SegmentTable Of(IEnumerable<SessionSegment> segments)
    {
        SegmentTable table = new();
        foreach (SessionSegment segment in segments)
        {
            table.Add(segment);
        }

        return table;
    }
}

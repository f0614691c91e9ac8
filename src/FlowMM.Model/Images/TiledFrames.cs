using FlowMM.Model.Configuration;

namespace FlowMM.Model.Images;

/// <summary>InternVL's dynamic tiling: the grid of square tiles whose aspect ratio is nearest, row by row, and the whole picture as one more tile.</summary>
internal sealed class TiledFrames : IPictureForm
{
    private const int MostTiles = 64;

    private readonly Resampler _resampler;
    private readonly PixelScale _scale;
    private readonly TileOptions _options;
    private readonly int _tokens;
    private readonly (int Columns, int Rows)[] _grids;

    /// <param name="file">Scale and filter.</param>
    /// <param name="options">Sizes.</param>
    /// <param name="tokens">Visual tokens of a tile.</param>
    public TiledFrames(JsonFields file, TileOptions options, int tokens)
    {
        (_resampler, _scale, _options, _tokens) = (Resampler.For(file.Whole("resample", 3)), new PixelScale(file), options, tokens);
        file.Check(options.Side is > 0 and <= FixedFrame.Largest, $"tiles of {options.Side} pixels are not supported.");
        file.Check(options.Least > 0 && options.Most >= options.Least && options.Most <= MostTiles, $"{options.Least} to {options.Most} tiles are not supported; 1 to {MostTiles} are.");
        IEnumerable<int> sides = Enumerable.Range(1, options.Most);
        _grids = [.. sides.SelectMany(c => sides.Select(r => (Columns: c, Rows: r)))
            .Where(g => g.Columns * g.Rows >= options.Least && g.Columns * g.Rows <= options.Most).OrderBy(g => g.Columns * g.Rows)];
    }

    /// <inheritdoc/>
    public int FixedTokens => _options.Most == 1 ? _tokens : 0;

    /// <inheritdoc/>
    public ImageLayout Layout(int width, int height)
    {
        (int columns, int rows) = Grid(width, height);
        int tiles = (columns * rows) + (_options.Thumbnail && columns * rows > 1 ? 1 : 0);
        return new ImageLayout { Shape = [tiles, PixelGrid.Channels, _options.Side, _options.Side], Tokens = tiles * _tokens };
    }

    /// <inheritdoc/>
    public float[] Pixels(PixelGrid image)
    {
        int side = _options.Side, tile = PixelGrid.Channels * side * side;
        (int columns, int rows) = Grid(image.Width, image.Height);
        float[] pixels = new float[Layout(image.Width, image.Height).Shape[0] * tile];
        PixelGrid stretched = _resampler.Resize(image, columns * side, rows * side);
        for (int i = 0; i < columns * rows; i++)
        {
            _scale.Planes(stretched, i % columns * side, i / columns * side, side, side, pixels.AsSpan(i * tile, tile));
        }

        if (pixels.Length > columns * rows * tile)
        {
            _scale.Planes(_resampler.Resize(image, side, side), 0, 0, side, side, pixels.AsSpan(columns * rows * tile));
        }

        return pixels;
    }

    /// <summary>The grid for a picture; of two that are equally near, the larger only where the picture has pixels enough to fill half of it.</summary>
    internal (int Columns, int Rows) Grid(int width, int height)
    {
        double aspect = (double)width / height, nearest = double.PositiveInfinity;
        (int Columns, int Rows) best = (1, 1);
        foreach ((int columns, int rows) in _grids)
        {
            double distance = Math.Abs(aspect - ((double)columns / rows));
            bool fills = (double)width * height > 0.5 * _options.Side * _options.Side * columns * rows;
            if (distance < nearest || (distance == nearest && fills))
            {
                (nearest, best) = (distance, (columns, rows));
            }
        }

        return best;
    }
}

/// <summary>How pictures are tiled.</summary>
/// <param name="Side">A tile's width and height, pixels.</param>
/// <param name="Least">Fewest tiles.</param>
/// <param name="Most">Most tiles, the thumbnail not counted.</param>
/// <param name="Thumbnail">True to append the whole picture where there are several tiles.</param>
internal sealed record TileOptions(int Side, int Least, int Most, bool Thumbnail);
